"""Songs of any length and format, decoded ahead, and read in clips that cover each of them."""

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from lit_genre.batch import Batch
from lit_genre.data import ffmpeg
from lit_genre.data.audio import NO_AUDIO, AudioError, check_heard, decode_blocks
from lit_genre.data.sampler import even_starts

_SAMPLE_BYTES: Final = 2
_IN_MEMORY: Final = 1 << 21  # 48 s at 22,050 Hz; longer songs go to a temporary file.


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


def decode_any(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Do what `lit_genre.data.audio.decode` does, by FFmpeg where libsndfile cannot.

    Raises:
        AudioError: The file holds no usable audio.
        OSError: It cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    pcm = np.concatenate([*_any_blocks(path, sample_rate), np.empty(0, dtype=np.int16)])
    check_heard(len(pcm), bool(pcm.any()))
    return pcm


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
            tells = path.suffix.lower() in ffmpeg.SUFFIXES or str(another) == ffmpeg.NO_SOUND
            raise (another if tells else error) from another
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
                        wanted = (self.files[position], self.sample_rate, self.max_seconds)
                        ahead.append((position, pool.submit(decode_song, *wanted)))
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
