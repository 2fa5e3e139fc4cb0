"""Fill a store, or the index of one: in parallel, in bounded memory, and such that it can be stopped at any moment."""

import csv
import io
import os
import shutil
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, NamedTuple, Self
from zlib import crc32

from lit_genre.console import console, progress, quiet_c_stderr
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.track_audio import TrackAudio, TrackStatus, decode_track, measure_track
from lit_genre.data.store.lock import locked
from lit_genre.data.store.pcm import (
    BLOCK_BYTES,
    COLUMNS,
    NOT_KEPT,
    SAMPLE_BYTES,
    UNKNOWN,
    Entry,
    Index,
    PCMStore,
    delete_unread,
    find_damaged,
    is_read,
    line_checksum,
    newest_generation,
    open_store,
    read_blocks,
    read_index,
    read_lines,
    samples_path,
)
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write, sync
from lit_genre.text import one_line

TRACKS_PER_COMMIT: Final = 64
"""Tracks between two forced writes to disk: at most so many are decoded again after a power cut."""

MAX_STALE_FRACTION: Final = 0.1
"""Part of the file of samples that no line may refer to. To free it, all other samples are copied: at a tenth, fewer
than ten bytes are copied for each byte that is freed, and the store is at most a ninth too large."""

_ABSENT: Final = (UNKNOWN, 0)

_MARKER: Final = "building"
"""File that is there while a build runs, and after one that was killed. It contains the number of lines that the index
had at the beginning."""

_SCRATCH: Final = "tmp-"


class _Decoded(NamedTuple):
    """A track that was read.

    Attributes:
        entry: Its line, without the place and the checksum of its samples if they are new.
        audio: Its samples, if they are to be kept and are new.
    """

    entry: Entry
    audio: TrackAudio | None = None


_Reader = Callable[[Path, Entry | None, Entry], _Decoded]
"""From a file, the line that is known of it and an empty line to the track."""


def build_store(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    redecode: Collection[int] = (),
) -> PCMStore:
    """Decode what the store does not hold yet, and open it; the arguments are those of `build_index`."""
    while True:
        index = build_index(folder, files, sample_rate, workers, redecode=redecode)
        # Between the two calls another process may have copied the samples to a new file.
        with suppress(FileNotFoundError):
            return PCMStore(samples_path(folder, newest_generation(index.values())), index)
        redecode = ()


def build_index(
    folder: Path,
    files: dict[int, Path],
    sample_rate: int,
    workers: int | None = None,
    keep_samples: bool = True,
    redecode: Collection[int] = (),
) -> Index:
    """Bring a store up to date with the files, and return its index.

    A file whose content changed since is decoded again. Two processes may call this at once: the second waits for the
    first. An interrupted build continues where it stopped; of one that was killed, the checksums are verified first.

    Args:
        folder: Folder of the store, from `store_folder`.
        files: File of each track.
        sample_rate: Hz.
        workers: Threads that decode; None for one a core.
        keep_samples: Whether to decode all and keep the samples, or only to measure how long the tracks are.
        redecode: Tracks to decode again although their files did not change.

    Raises:
        LitGenreError: The store cannot be written, or its index is damaged.
    """
    known = read_index(folder)
    try:
        if redecode or (folder / _MARKER).exists() or _changed(files, known):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                known = _update(folder, files, sample_rate, workers or os.cpu_count() or 1, keep_samples, redecode)
    except OSError as error:
        raise LitGenreError(
            f"The store of decoded audio cannot be written: {error}. A second of audio takes {2 * sample_rate:,} "
            "bytes: free space, or name another folder by store_root. What is decoded already is kept."
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
    known = {track_id: entry for track_id, entry in _intact(folder).items() if track_id not in redecode}
    changed = _changed(files, known)
    if not (changed or redecode or (folder / _MARKER).exists()):
        return known  # Another process has done it.
    # Of a build that was killed.
    for path in (*folder.glob(f"{_SCRATCH}*"), *folder.glob(".*.part")):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    with _Writer(folder, known) as writer:
        if changed:
            with (
                TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch,
                progress("Decoding" if keep_samples else "Measuring", len(changed), "tracks") as advance,
                quiet_c_stderr(),
            ):
                read = partial(_decode, scratch=Path(scratch)) if keep_samples else _measure
                with closing(_read_all(changed, known, partial(read, sample_rate=sample_rate), workers)) as tracks:
                    for decoded in tracks:
                        writer.add(decoded)
                        advance()
    return writer.entries


def _intact(folder: Path) -> Index:
    """Read the index; after a build that was killed, without the tracks whose samples differ from their checksum."""
    known, marker = read_index(folder), folder / _MARKER
    if not marker.exists():
        return known
    text = marker.read_text(encoding="ascii", errors="replace")
    trusted = int(text) if text.isdecimal() else 0
    written = {entry.track_id for entry in read_lines(folder)[trusted:]}
    title = "Verifying what an interrupted build decoded"
    if damaged := find_damaged(open_store(folder), known.keys() & written, title):
        console.print(f"The samples of {len(damaged):,} tracks were damaged: they are decoded again.")
    return {track_id: entry for track_id, entry in known.items() if track_id not in damaged}


def _changed(files: dict[int, Path], known: Index) -> dict[int, Path]:
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
    """Appends tracks to the two files; the lines of the index follow once their samples are on the disk."""

    def __init__(self, folder: Path, known: Index) -> None:
        self.entries = dict(known)
        self._folder = folder
        self._pending: list[Entry] = []
        # Anew from what is known: a line whose samples are lost would seem true once others lie in their place.
        _write_index(folder, known.values())
        with atomic_write(folder / _MARKER) as file:
            file.write(str(len(known)).encode())
        self._generation = newest_generation(known.values())
        # Nothing is overwritten, not even behind the last known samples: another process may be reading there.
        self._pcm = samples_path(folder, self._generation).open("ab")
        self._pcm.write(bytes(self._pcm.tell() % SAMPLE_BYTES))
        self._end = self._pcm.tell() // SAMPLE_BYTES
        self._index = (folder / "index.csv").open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pcm, self._index:
            self.commit()
        if kind is None:
            self.entries = _free_stale_space(self._folder, self.entries)
        (self._folder / _MARKER).unlink()

    def add(self, decoded: _Decoded) -> None:
        entry = decoded.entry
        if entry.offset == NOT_KEPT:
            entry = entry._replace(generation=self._generation)
        if decoded.audio is not None:
            with decoded.audio as audio:
                checksum = self._append(audio.pcm)
            entry = entry._replace(generation=self._generation, offset=self._end, crc32=checksum)
            self._end += entry.n_samples
        self._pending.append(entry)
        if len(self._pending) == TRACKS_PER_COMMIT:
            self.commit()

    def _append(self, samples: IO[bytes]) -> int:
        checksum = 0
        samples.seek(0)
        while block := samples.read(BLOCK_BYTES):
            checksum = crc32(block, checksum)
            self._pcm.write(block)
        return checksum

    def commit(self) -> None:
        sync(self._pcm)
        self._index.write(_lines(self._pending))
        sync(self._index)
        self.entries |= {entry.track_id: entry for entry in self._pending}
        self._pending.clear()


def _write_index(folder: Path, entries: Iterable[Entry]) -> None:
    with atomic_write(folder / "index.csv") as file:
        file.write(",".join(COLUMNS).encode() + b"\n" + _lines(entries))


def _lines(entries: Iterable[Entry]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((*entry, line_checksum(entry)) for entry in entries)
    return text.getvalue().encode()


def _free_stale_space(folder: Path, index: Index) -> Index:
    """Copy the samples that the index refers to, if too many are others, and delete files of samples of others."""
    kept = [entry for entry in index.values() if entry.offset != NOT_KEPT]
    path = samples_path(folder, newest_generation(index.values()))
    n_bytes = path.stat().st_size
    stale = n_bytes - sum(entry.n_samples for entry in kept) * SAMPLE_BYTES
    if stale > MAX_STALE_FRACTION * n_bytes and not is_read(path):
        try:
            index = _compact(folder, index)
        except OSError as error:
            console.print(f"{path} has {stale:,} bytes that are not needed, and cannot be copied without: {error}.")
    used = samples_path(folder, newest_generation(index.values()))
    for other in folder.glob("pcm-*.int16"):
        if other != used:
            delete_unread(other)
    return index


def _compact(folder: Path, index: Index) -> Index:
    """Copy the samples that the index refers to into the file of the next generation, and refer to that."""
    old = newest_generation(index.values())
    new, end = old + 1, 0
    compacted = {}
    with atomic_write(samples_path(folder, new)) as file:
        for entry in index.values():
            offset = NOT_KEPT if entry.offset == NOT_KEPT else end
            if offset != NOT_KEPT:
                for block in read_blocks(samples_path(folder, old), entry):
                    file.write(block)
                end += entry.n_samples
            compacted[entry.track_id] = entry._replace(generation=new, offset=offset)
    _write_index(folder, compacted.values())
    return compacted


def _read_all(files: dict[int, Path], known: Index, read: _Reader, workers: int) -> Generator[_Decoded, None, None]:
    """Read in threads (libsndfile and soxr release the GIL), in order, a few tracks ahead of the writer."""
    pool = ThreadPoolExecutor(workers)
    queue: deque[Future[_Decoded]] = deque()
    try:
        for track_id, path in files.items():
            queue.append(pool.submit(_read, track_id, path, known.get(track_id), read))
            if len(queue) > 2 * workers:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        for future in queue:
            if not future.cancelled() and not future.exception() and (audio := future.result().audio):
                audio.pcm.close()


def _read(track_id: int, path: Path, known: Entry | None, read: _Reader) -> _Decoded:
    source = _source(path)
    nothing = Entry(track_id, 1, NOT_KEPT, 0, UNKNOWN, "failed", 0.0, *source, UNKNOWN, "")
    try:
        return read(path, known, nothing)
    except AudioError as error:
        return _Decoded(nothing._replace(reason=one_line(str(error))))
    except OSError as error:
        # No file has this source, so one that cannot be opened here and today is tried again the next time.
        size, mtime = _ABSENT
        reason = "no such file" if source == _ABSENT else one_line(error.strerror or str(error))
        return _Decoded(nothing._replace(source_bytes=size, source_mtime_ns=mtime, reason=reason))


def _decode(path: Path, known: Entry | None, entry: Entry, sample_rate: int, scratch: Path) -> _Decoded:
    checksum = _file_checksum(path)
    if known and (known.source_bytes, known.source_crc32) == (entry.source_bytes, checksum):
        return _Decoded(known._replace(source_mtime_ns=entry.source_mtime_ns))
    audio = decode_track(path, sample_rate, folder=scratch)
    entry = entry._replace(n_samples=audio.n_samples, source_crc32=checksum)
    return _Decoded(_with_status(entry, audio.status), audio)


def _measure(path: Path, known: Entry | None, entry: Entry, sample_rate: int) -> _Decoded:
    n_samples, status = measure_track(path, sample_rate)
    return _Decoded(_with_status(entry._replace(n_samples=n_samples), status))


def _with_status(entry: Entry, status: TrackStatus) -> Entry:
    return entry._replace(status=status.kind, seconds_lost=status.seconds_lost)


def _file_checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            checksum = crc32(block, checksum)
    return checksum
