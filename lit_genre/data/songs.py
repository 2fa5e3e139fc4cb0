"""Anyone's audio files, of any length: found in folders, decoded ahead, and read in clips that cover each of them."""

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, Final, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from lit_genre.batch import Batch
from lit_genre.console import console
from lit_genre.data import ffmpeg
from lit_genre.data.audio import NO_AUDIO, AudioError, check_heard, decode_blocks
from lit_genre.data.sampler import even_starts
from lit_genre.errors import LitGenreError

SUFFIXES: Final = ffmpeg.SUFFIXES | frozenset(
    ".aif .aifc .aiff .au .caf .flac .mp2 .mp3 .oga .ogg .opus .rf64 .snd .voc .w64 .wav".split()  # noqa: SIM905
)
"""Of the files that are taken from a folder; files that are named may be called anything."""

SOME_UNREADABLE: Final = 3
"""Exit status where some files could not be read, and the others were answered."""

_SAMPLE_BYTES: Final = 2
_IN_MEMORY: Final = 1 << 24  # 6 minutes at 22,050 Hz; longer songs go to a temporary file.


def find_songs(paths: Iterable[Path]) -> list[Path]:
    """List the files that are named, and those with sound in the folders that are named and in the folders within.

    Links are followed, each folder is looked through once.

    Raises:
        LitGenreError: There is no such file or folder, or there is no audio in them.
    """
    paths = list(paths)
    found: dict[Path, None] = {}
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_walk(path, seen))
        elif path.is_file():
            found[path] = None
        else:
            raise LitGenreError(f"There is no file or folder {readable(path)}.")
    if not found:
        folders = ", ".join(map(readable, paths))
        raise LitGenreError(f"{folders}: no audio in it, by the names of the files ({', '.join(sorted(SUFFIXES))}).")
    return list(found)


def _walk(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    unreadable: list[Path] = []
    for folder, subfolders, names in os.walk(
        root, onerror=lambda error: unreadable.append(Path(error.filename)), followlinks=True
    ):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("._") and _is_regular(path):
                yield path
    # To be reported with the files that cannot be read.
    yield from unreadable


def _is_regular(path: Path) -> bool:
    """Tell a file, or a link that leads nowhere, which is to be reported, from what never ends."""
    try:
        return S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def readable(path: str | os.PathLike[str]) -> str:
    """Write a path so that it can be printed on one line, whatever bytes are in it."""
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode()
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def report_unreadable(files: Sequence[Path], failures: dict[int, str]) -> NoReturn:
    """Print which files could not be read, and why, and end the program with the status that says so."""
    console.print(f"{len(failures):,} of {len(files):,} files could not be read:")
    for position, reason in sorted(failures.items()):
        console.print(f"  {readable(files[position])}: {reason}", markup=False)
    sys.exit(SOME_UNREADABLE if len(failures) < len(files) else 1)


@dataclass
class Decoded:
    """A decoded song: its samples, in memory or in a temporary file, and how many."""

    pcm: IO[bytes]
    n_samples: int

    def read(self, start: int, row: NDArray[np.int16]) -> None:
        """Read from a sample on into `row`, shape (n,), and repeat it to its end."""
        self.pcm.seek(start * _SAMPLE_BYTES)
        samples = np.frombuffer(self.pcm.read(row.nbytes), dtype=np.int16)
        row[:] = np.resize(samples, len(row))


def decode_song(path: Path, sample_rate: int, max_seconds: float = float("inf")) -> Decoded:
    """Decode a file of any length in bounded memory.

    Raises:
        AudioError: It holds no usable audio, or more than `max_seconds`.
        OSError: It cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    pcm: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
    try:
        is_sound = False
        for block in _any_blocks(path, sample_rate):
            pcm.write(block.tobytes())
            is_sound = is_sound or bool(block.any())
            if pcm.tell() > max_seconds * sample_rate * _SAMPLE_BYTES:
                raise AudioError(f"longer than {max_seconds:g} s")
        n_samples = pcm.tell() // _SAMPLE_BYTES
        check_heard(n_samples, is_sound)
    except BaseException:
        pcm.close()
        raise
    return Decoded(pcm, n_samples)


def _any_blocks(path: Path, sample_rate: int) -> Iterator[NDArray[np.int16]]:
    """Decode by libsndfile, or, what that does not take for audio at all, by FFmpeg."""
    blocks = decode_blocks(path, sample_rate)
    try:
        first = next(blocks, np.empty(0, dtype=np.int16))
    except AudioError as error:
        if not str(error).startswith(NO_AUDIO):
            raise
        try:
            yield from ffmpeg.decode_blocks(path, sample_rate)
        except AudioError as another:
            known = shutil.which("ffmpeg") is not None and ffmpeg.UNKNOWN not in str(another)
            raise (another if known or path.suffix.lower() in ffmpeg.SUFFIXES else error) from another
        return
    yield from chain([first], blocks)


@dataclass
class SongClips(IterableDataset[Batch]):
    """Batches of clips that cover each song evenly, as those of a test do, in the order of the songs.

    Songs ahead are decoded in threads while a batch is being used. A clip's `track_id` is the song's position in
    `files`, its label is -1. A song that cannot be read is left out.

    Attributes:
        files: The songs.
        sample_rate: Hz.
        clip_samples: Length of a clip.
        batch_size: Clips in a batch, which may be of several songs.
        workers: Threads that decode.
        positions: Those of the songs to read, None for all.
        max_seconds: Longer songs are not read.
        failures: Why songs could not be read, by position in `files`; filled on the way.
        seconds: How long the songs are, by position; filled on the way.
    """

    files: Sequence[Path]
    sample_rate: int
    clip_samples: int
    batch_size: int
    workers: int
    positions: Sequence[int] | None = None
    max_seconds: float = float("inf")
    failures: dict[int, str] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[tuple[int, int, NDArray[np.int16]]] = []
        for position, song in self._decoded():
            with song.pcm:
                self.seconds[position] = song.n_samples / self.sample_rate
                for start in even_starts(song.n_samples, self.clip_samples).tolist():
                    row = np.empty(self.clip_samples, dtype=np.int16)
                    song.read(start, row)
                    waiting.append((position, start, row))
                    if len(waiting) == self.batch_size:
                        yield _batch(waiting)
                        waiting.clear()
        if waiting:
            yield _batch(waiting)

    def _decoded(self) -> Iterator[tuple[int, Decoded]]:
        positions = iter(range(len(self.files)) if self.positions is None else self.positions)
        ahead: deque[tuple[int, Future[Decoded]]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                while True:
                    while len(ahead) <= self.workers and (position := next(positions, None)) is not None:
                        ahead.append(
                            (
                                position,
                                pool.submit(decode_song, self.files[position], self.sample_rate, self.max_seconds),
                            )
                        )
                    if not ahead:
                        return
                    position, decoded = ahead.popleft()
                    try:
                        yield position, decoded.result()
                    except AudioError as error:
                        self.failures[position] = str(error)
                    except OSError as error:
                        self.failures[position] = error.strerror or str(error)
            finally:
                for _, decoded in ahead:
                    decoded.cancel()


def _batch(clips: list[tuple[int, int, NDArray[np.int16]]]) -> Batch:
    positions, starts, rows = zip(*clips, strict=True)
    columns: list[Any] = [np.stack(rows), np.full(len(rows), -1), np.array(positions), np.array(starts)]
    return Batch(*map(torch.from_numpy, columns))
