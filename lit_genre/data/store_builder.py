"""Fill a store: decode in parallel what it lacks, so that it can be stopped and started at any moment."""

import csv
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from lit_genre.console import console, progress, quiet_c_stderr
from lit_genre.data.audio import AudioError, decode
from lit_genre.data.store import SAMPLE_BYTES, Entry, Index, PCMStore, read_index
from lit_genre.errors import LitGenreError

CLIPS_PER_COMMIT: Final = 64
"""Clips between two forced writes to disk: at most so many are decoded again after a power cut."""

_ABSENT: Final = (-1, 0)


class _Clip(NamedTuple):
    track_id: int
    samples: NDArray[np.int16]
    source: tuple[int, int]
    reason: str


def build_store(folder: Path, files: dict[int, Path], sample_rate: int, workers: int | None = None) -> PCMStore:
    """Decode what the store does not hold yet, and open it.

    A file that changed since (size or time of modification) is decoded again. Two processes may call this at
    once: the second waits for the first. An interrupted build goes on where it stopped.

    Args:
        folder: Folder of the store, from `store_folder`.
        files: File of each track.
        sample_rate: Hz.
        workers: Threads that decode; None for one a core.

    Raises:
        LitGenreError: The store cannot be written.
    """
    known = read_index(folder)
    try:
        if _stale(files, known):
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                known = read_index(folder)
                if stale := _stale(files, known):
                    known = _decode_into(folder, stale, known, sample_rate, workers or os.cpu_count() or 1)
    except OSError as error:
        raise LitGenreError(
            f"The store of decoded audio cannot be written: {error}. A second of audio takes {2 * sample_rate:,} "
            "bytes: free space, or name another folder by store_root. What is decoded already is kept."
        ) from error
    return PCMStore(folder / "pcm.int16", {track_id: known[track_id] for track_id in files})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"Another process is building {folder}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
        self._end = max((entry.offset + entry.n_samples for entry in known.values()), default=0)
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
        entry = Entry(clip.track_id, self._end, len(clip.samples), *clip.source, clip.reason)
        self._pcm.write(clip.samples.data)
        self._end += entry.n_samples
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
    csv.writer(text, lineterminator="\n").writerows(entries)
    return text.getvalue().encode()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _decode_into(folder: Path, files: dict[int, Path], known: Index, rate: int, workers: int) -> Index:
    with (
        closing(_Writer(folder, known)) as writer,
        progress("Decoding", total=len(files), unit="clips") as advance,
        quiet_c_stderr(),
    ):
        for clip in _decoded(files, rate, workers):
            writer.add(clip)
            advance()
    return writer.entries


def _decoded(files: dict[int, Path], sample_rate: int, workers: int) -> Iterator[_Clip]:
    """Decode in threads (libsndfile and soxr release the GIL), in order, a few clips ahead of the reader."""
    pool = ThreadPoolExecutor(workers)
    queue: deque[Future[_Clip]] = deque()
    try:
        for track_id, path in files.items():
            queue.append(pool.submit(_decode_one, track_id, path, sample_rate))
            if len(queue) > 2 * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_one(track_id: int, path: Path, sample_rate: int) -> _Clip:
    source, nothing = _source(path), np.empty(0, dtype=np.int16)
    try:
        return _Clip(track_id, decode(path, sample_rate), source, "")
    except AudioError as error:
        return _Clip(track_id, nothing, source, str(error))
    except OSError as error:
        # No file has this source, so one that cannot be opened today is tried again the next time.
        return _Clip(track_id, nothing, _ABSENT, "no such file" if source == _ABSENT else str(error.strerror))
