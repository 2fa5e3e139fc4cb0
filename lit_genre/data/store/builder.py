"""Fill a store, or only its index, in parallel and in bounded memory; an interrupted build can be resumed."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zlib import crc32

from lit_genre.console import console, progress, quiet_c_stderr
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.excerpts import measure_track
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import decode_track
from lit_genre.data.store.index import (
    NOT_KEPT,
    UNKNOWN,
    Entry,
    Index,
    newest_generation,
    read_index,
    read_lines,
    samples_path,
)
from lit_genre.data.store.lock import locked
from lit_genre.data.store.pcm import BLOCK_BYTES, PCMStore, find_damaged, open_store
from lit_genre.data.store.writer import DecodedTrack, StoreWriter, marker_path
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

_ABSENT: Final = (UNKNOWN, 0)
"""Size and time of modification in the index line of a file that could not be opened."""

_SCRATCH: Final = "tmp-"
"""Prefix of the temporary folder for decoded samples that are not yet appended."""

_Reader = Callable[[Path, Entry | None, Entry], DecodedTrack]
"""Function from a file, its known index line (None if there is none) and an empty line to the decoded track."""


def build_store(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    redecode: Collection[int] = (),
) -> PCMStore:
    """Decode the tracks that are missing in a store, and open the store.

    Args:
        folder: Folder of the store, from `store_folder`.
        files: File of each track, by track id.
        sample_rate: Sample rate of the decoded audio, Hz.
        workers: Number of threads that decode; None for one per core.
        redecode: Ids of tracks to decode again although their files did not change.

    Returns:
        The store, with an index line for each of the files, also for those that cannot be decoded.

    Raises:
        LitGenreError: The store cannot be written, or its index is damaged.
    """
    while True:
        index = build_index(folder, files, sample_rate, workers, redecode=redecode)
        # Between the two calls another process may have copied the samples to a new file.
        with suppress(FileNotFoundError):
            return PCMStore(samples_path(folder, newest_generation(index.values())), index)
        # The first pass has decoded them.
        redecode = ()


def build_index(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    keep_samples: bool = True,
    redecode: Collection[int] = (),
) -> Index:
    """Update a store to the current content of the files, and return its index.

    A file that has changed is decoded again. Two processes may call this function at the same time: the second waits
    for the first. An interrupted build is resumed. If a build was killed, the checksums of its samples are verified.

    Args:
        folder: Folder of the store, from `store_folder`.
        files: File of each track, by track id.
        sample_rate: Sample rate of the decoded audio, Hz.
        workers: Number of threads that decode; None for one per core.
        keep_samples: Whether to decode the tracks and keep their samples; if false, only their lengths are measured.
        redecode: Ids of tracks to decode again although their files did not change.

    Returns:
        Index line of each of the files, by track id.

    Raises:
        LitGenreError: The store cannot be written, or its index is damaged.
    """
    known = read_index(folder)
    # The lock is taken only if there is work to do: a finished store may be on a read-only file system.
    try:
        if redecode or marker_path(folder).exists() or _changed(files, known):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                known = _update(folder, files, sample_rate, workers or os.cpu_count() or 1, keep_samples, redecode)
    except OSError as error:
        raise LitGenreError(
            f"The store of decoded audio cannot be written: {error}. One second of audio needs {2 * sample_rate:,} "
            "bytes. Free space, or choose another folder with store_root. The audio decoded so far is kept."
        ) from error
    return {track_id: known[track_id] for track_id in files}


def _update(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int,
    keep_samples: bool,
    redecode: Collection[int],
) -> Index:
    # Read again, now with the lock: another process may have changed the index since the first reading.
    known = {track_id: entry for track_id, entry in _intact(folder).items() if track_id not in redecode}
    changed = _changed(files, known)
    if not (changed or redecode or marker_path(folder).exists()):
        return known  # Another process finished the build while this one waited for the lock.
    # Remains of a killed build: decoded samples, and files that were not moved to their final name.
    for path in (*folder.glob(f"{_SCRATCH}*"), *folder.glob(".*.part")):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    with StoreWriter(folder, known) as writer:
        if changed:
            with (
                TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch,
                progress("Decoding" if keep_samples else "Measuring", len(changed), "tracks") as advance,
                quiet_c_stderr(),
            ):
                read = partial(_decode, scratch=Path(scratch)) if keep_samples else _measure
                # Without `closing`, an error here would leave threads running that write to the deleted folder.
                with closing(_read_all(changed, known, partial(read, sample_rate=sample_rate), workers)) as tracks:
                    for track in tracks:
                        writer.add(track)
                        advance()
    return writer.entries


def _intact(folder: Path) -> Index:
    """Read the index; after a killed build, leave out tracks with samples that differ from their checksum."""
    known, marker = read_index(folder), marker_path(folder)
    if not marker.exists():
        return known
    text = marker.read_text(encoding="ascii", errors="replace")
    # Lines older than that build are trusted, since verifying a whole store would take minutes.
    n_trusted = int(text) if text.isdecimal() else 0
    new_ids = {entry.track_id for entry in read_lines(folder)[n_trusted:]}
    damaged = find_damaged(open_store(folder), known.keys() & new_ids, "Verifying the output of an interrupted build")
    if damaged:
        console.print(f"The samples of {len(damaged):,} tracks are damaged and are decoded again.")
    return {track_id: entry for track_id, entry in known.items() if track_id not in damaged}


def _changed(files: dict[int, Path], known: Index) -> dict[int, Path]:
    """Return the files that differ from their index line in size or time of modification, or have no line."""

    def recorded(track_id: int) -> tuple[int, int] | None:
        entry = known.get(track_id)
        return entry and (entry.source_bytes, entry.source_mtime_ns)

    return {track_id: path for track_id, path in files.items() if _size_and_mtime(path) != recorded(track_id)}


def _size_and_mtime(path: Path) -> tuple[int, int]:
    """Return the size of a file, bytes, and its time of modification, ns; `_ABSENT` if it cannot be found."""
    try:
        status = path.stat()
    except OSError:
        return _ABSENT
    return status.st_size, status.st_mtime_ns


def _read_all(files: dict[int, Path], known: Index, read: _Reader, workers: int) -> Generator[DecodedTrack, None, None]:
    """Read tracks in threads, and yield them in the order of the files.

    Threads are enough, because libsndfile and soxr release the GIL.
    """
    pool = ThreadPoolExecutor(workers)
    queue: deque[Future[DecodedTrack]] = deque()
    try:
        for track_id, path in files.items():
            queue.append(pool.submit(_read, track_id, path, known.get(track_id), read))
            # Two tracks per thread keep the threads busy while the writer waits for a long track.
            if len(queue) > 2 * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # Tracks that were decoded and not yielded still have a temporary file open.
        for future in queue:
            if not future.cancelled() and not future.exception() and (audio := future.result().audio):
                audio.pcm.close()


def _read(track_id: int, path: Path, known: Entry | None, read: _Reader) -> DecodedTrack:
    source = _size_and_mtime(path)
    empty = Entry(track_id, 1, NOT_KEPT, 0, UNKNOWN, "failed", 0.0, *source, UNKNOWN, "")
    try:
        return read(path, known, empty)
    except AudioError as error:
        return DecodedTrack(empty._replace(reason=one_line(str(error))))
    except OSError as error:
        # No file has this size, so the next build tries again to open the file.
        size, mtime = _ABSENT
        reason = "no such file" if source == _ABSENT else one_line(error.strerror or str(error))
        return DecodedTrack(empty._replace(source_bytes=size, source_mtime_ns=mtime, reason=reason))


def _decode(path: Path, known: Entry | None, entry: Entry, sample_rate: int, scratch: Path) -> DecodedTrack:
    checksum = _file_checksum(path)
    # If a file was copied or unpacked again, its time of modification has changed but its content has not.
    if known and (known.source_bytes, known.source_crc32) == (entry.source_bytes, checksum):
        return DecodedTrack(known._replace(source_mtime_ns=entry.source_mtime_ns))
    audio = decode_track(path, sample_rate, folder=scratch)
    entry = entry._replace(n_samples=audio.n_samples, source_crc32=checksum)
    return DecodedTrack(_with_status(entry, audio.status), audio)


def _measure(path: Path, known: Entry | None, entry: Entry, sample_rate: int) -> DecodedTrack:
    n_samples, status = measure_track(path, sample_rate)
    return DecodedTrack(_with_status(entry._replace(n_samples=n_samples), status))


def _with_status(entry: Entry, status: TrackStatus) -> Entry:
    return entry._replace(status=status.kind, seconds_lost=status.seconds_lost)


def _file_checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            checksum = crc32(block, checksum)
    return checksum
