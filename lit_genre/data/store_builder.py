"""Fill a store, or the index of one: in parallel, and such that it can be stopped and started at any moment."""

import csv
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import progress, quiet_c_stderr
from lit_genre.data import ffmpeg
from lit_genre.data.audio import AudioError, DecoderMissingError, decode, length
from lit_genre.data.lock import locked
from lit_genre.data.store import NOT_KEPT, SAMPLE_BYTES, Entry, Index, PCMStore, checksum, read_index
from lit_genre.errors import LitGenreError

CLIPS_PER_COMMIT: Final = 64
"""Clips between two forced writes to disk: at most so many are decoded again after a power cut."""

_ABSENT: Final = (-1, 0)


Decoder = Callable[[Path, int], NDArray[np.int16]]
"""From a file and a sample rate to its samples."""

_Reader = Callable[[Path], tuple[NDArray[np.int16], int]]
"""From a file to the samples to keep, and how many samples the track has."""


class _Clip(NamedTuple):
    track_id: int
    samples: NDArray[np.int16]
    n_samples: int
    source: tuple[int, int]
    reason: str


def build_store(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    decoder: Decoder | None = None,
) -> PCMStore:
    """Decode what the store does not hold yet, and open it."""
    return PCMStore(folder / "pcm.int16", build_index(folder, files, sample_rate, workers, decoder=decoder))


def build_index(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    keep_samples: bool = True,
    decoder: Decoder | None = None,
) -> Index:
    """Bring a store up to date with the files, and return its index.

    A file that changed since (size or time of modification) is decoded again. Two processes may call this at
    once: the second waits for the first. An interrupted build goes on where it stopped.

    Args:
        folder: Folder of the store, from `store_folder`.
        files: File of each track.
        sample_rate: Hz.
        workers: Threads that decode; None for one a core.
        keep_samples: Whether to decode all and keep the samples, or only to look how long the tracks are.
        decoder: Decodes a file; None for `lit_genre.data.audio.decode`.

    Raises:
        LitGenreError: The store cannot be written.
    """
    known = read_index(folder)
    try:
        if _stale(files, known):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                known = read_index(folder)
                if stale := _stale(files, known):
                    read = partial(_decode, decoder=decoder or decode) if keep_samples else _measure
                    clip_of = partial(read, sample_rate=sample_rate)
                    title = "Decoding" if keep_samples else "Measuring"
                    known = _add(folder, known, stale, clip_of, workers or os.cpu_count() or 1, title)
    except OSError as error:
        raise LitGenreError(
            f"The store of decoded audio cannot be written: {error}. A second of audio takes {2 * sample_rate:,} "
            "bytes: free space, or name another folder by store_root. What is decoded already is kept."
        ) from error
    return {track_id: known[track_id] for track_id in files}


def _stale(files: dict[int, Path], known: Index) -> dict[int, Path]:
    def source_then(track_id: int) -> tuple[int, int] | None:
        entry = known.get(track_id)
        return entry and (entry.source_bytes, entry.source_mtime_ns)

    return {track_id: path for track_id, path in files.items() if _source(path) != source_then(track_id)}


def _source(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return _ABSENT
    return status.st_size, status.st_mtime_ns


class _Writer:
    """Appends clips to the two files; the lines of the index follow once their samples are on the disk."""

    def __init__(self, folder: Path, known: Index) -> None:
        self.entries = dict(known)
        kept = (entry.offset + entry.n_samples for entry in known.values() if entry.offset != NOT_KEPT)
        self._end = max(kept, default=0)
        self._pending: list[Entry] = []
        self._pcm = (folder / "pcm.int16").open("ab")
        self._pcm.truncate(self._end * SAMPLE_BYTES)
        # Anew from what is known: a line whose samples are lost would seem true once others lie in their place.
        part = folder / "index.csv.part"
        with part.open("wb") as file:
            file.write(_lines(known.values()))
            _sync(file)
        part.replace(folder / "index.csv")
        self._index = (folder / "index.csv").open("ab")

    def add(self, clip: _Clip) -> None:
        offset = self._end if len(clip.samples) == clip.n_samples else NOT_KEPT
        entry = Entry(clip.track_id, offset, clip.n_samples, *clip.source, clip.reason)
        self._pcm.write(clip.samples.data)
        self._end += len(clip.samples)
        self._pending.append(entry)
        if len(self._pending) == CLIPS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        _sync(self._pcm)
        self._index.write(_lines(self._pending))
        _sync(self._index)
        self.entries |= {entry.track_id: entry for entry in self._pending}
        self._pending.clear()

    def close(self) -> None:
        with self._pcm, self._index:
            self.commit()


def _lines(entries: Iterable[Entry]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((*entry, checksum(entry)) for entry in entries)
    return text.getvalue().encode()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _add(
    folder: Path,
    known: Index,
    files: dict[int, Path],
    clip_of: _Reader,
    workers: int,
    title: str,
) -> Index:
    with (
        closing(_Writer(folder, known)) as writer,
        progress(title, total=len(files), unit="tracks") as advance,
        quiet_c_stderr(),
    ):
        for clip in _read(files, clip_of, workers):
            writer.add(clip)
            advance()
    return writer.entries


def _read(files: dict[int, Path], clip_of: _Reader, workers: int) -> Iterator[_Clip]:
    """Read in threads (libsndfile and soxr release the GIL), in order, a few clips ahead of the writer."""
    pool = ThreadPoolExecutor(workers)
    queue: deque[Future[_Clip]] = deque()
    try:
        for track_id, path in files.items():
            queue.append(pool.submit(_read_one, track_id, path, clip_of))
            if len(queue) > 2 * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_one(track_id: int, path: Path, clip_of: _Reader) -> _Clip:
    source, nothing = _source(path), np.empty(0, dtype=np.int16)
    try:
        return _Clip(track_id, *clip_of(path), source, "")
    # No file has this source, so one that cannot be opened or decoded here and today is tried again the next time.
    except DecoderMissingError as error:
        return _Clip(track_id, nothing, 0, _ABSENT, str(error))
    except AudioError as error:
        return _Clip(track_id, nothing, 0, source, str(error))
    except OSError as error:
        return _Clip(track_id, nothing, 0, _ABSENT, "no such file" if source == _ABSENT else str(error.strerror))


def _decode(path: Path, decoder: Decoder, sample_rate: int) -> tuple[NDArray[np.int16], int]:
    samples = decoder(path, sample_rate)
    return samples, len(samples)


def _measure(path: Path, sample_rate: int) -> tuple[NDArray[np.int16], int]:
    try:
        return np.empty(0, dtype=np.int16), length(path, sample_rate)
    except AudioError as error:
        if path.suffix.lower() in ffmpeg.SUFFIXES:
            hint = "such a file is read by FFmpeg, as a whole, for which --data.decode_once=true is needed"
            raise AudioError(f"{error}; {hint}") from error
        raise
