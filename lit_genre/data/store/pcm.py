"""Decode once: the samples of all tracks of a data set in one file, and an index with a line for each track.

A store is a folder with two files. `pcm-<generation>.int16` holds the samples of all tracks, one after the other.
`index.csv` is a table with the columns of `Entry`: where the samples of each track are, how much of its file was
decoded, and checksums. Both are only ever appended to, samples first: whenever a build is killed, each whole line of
the index is true, and the next build continues after it. To free the space of samples that no line refers to any
more, the others are copied to the file of the next generation.

Clips are read with plain reads and not through a memory map: a map counts the pages it has touched as the
process's memory, so that training on FMA small would show 8.5 GB and be killed on clusters that count so.
"""

import csv
import hashlib
import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import progress
from lit_genre.data.decoding.track_audio import DECODER, StatusKind, TrackStatus
from lit_genre.errors import LitGenreError

if sys.platform != "win32":
    import fcntl

SAMPLE_BYTES: Final = 2
BLOCK_BYTES: Final = 1 << 20
"""Samples are copied and verified in blocks of this size: a long track takes no more memory than a short one."""

NOT_KEPT: Final = -1
"""Offset of a track without samples in the store: it cannot be used, or its samples stay in its own file."""

UNKNOWN: Final = -1
"""Size of a file that could not be opened; checksum of what is not kept."""

Status = StatusKind | Literal["failed"]


class Entry(NamedTuple):
    """One line of the index.

    Attributes:
        track_id: Number of the track.
        generation: Number of the file of samples, `pcm-<generation>.int16`.
        offset: Index of its first sample in that file; `NOT_KEPT` if they are not there.
        n_samples: Number of samples; 0 if the track cannot be used.
        crc32: CRC-32 of the samples, as bytes; `UNKNOWN` if they are not kept.
        status: How much of its file was decoded: "complete", "recovered" (parts inside the file are missing),
            "truncated" (its end is missing), or "failed".
        seconds_lost: Length of what is missing, s.
        source_bytes: Size of the file that was decoded; `UNKNOWN` if there was none.
        source_mtime_ns: Its time of modification.
        source_crc32: CRC-32 of its bytes; `UNKNOWN` if the samples are not kept.
        reason: Why the track cannot be used, "" if it can.
    """

    track_id: int
    generation: int
    offset: int
    n_samples: int
    crc32: int
    status: Status
    seconds_lost: float
    source_bytes: int
    source_mtime_ns: int
    source_crc32: int
    reason: str

    def decoded_fraction(self, sample_rate: int) -> float:
        """Return the part of the track that was decoded, 0 to 1."""
        lost = self.seconds_lost * sample_rate
        return self.n_samples / (self.n_samples + lost) if self.n_samples else 0.0

    def describe(self, sample_rate: int) -> str:
        """Return a note for people on what is missing, "" if the track is complete."""
        if self.status == "failed":
            return self.reason
        return TrackStatus(self.status, self.seconds_lost).describe(self.n_samples / sample_rate)


COLUMNS: Final = (*Entry._fields, "line_crc32")

Index = dict[int, Entry]


class AudioSource(Protocol):
    """Where the samples of tracks are read from. It can be pickled for worker processes."""

    @property
    def entries(self) -> Index:
        """Index line of each track that was asked for."""

    @property
    def failures(self) -> dict[int, str]:
        """Why a track cannot be used, by track id."""

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track from `start` on into `out`, shape (n,); return how many there were."""


class PCMStore:
    """Reads the samples of a finished store.

    While it exists, no process deletes the file of samples.

    Args:
        pcm: File of the samples.
        entries: Index line of each track that was asked for.

    Raises:
        FileNotFoundError: There is no such file (any more).
    """

    def __init__(self, pcm: Path, entries: Index) -> None:
        self.pcm, self.entries = pcm, entries
        if any(entry.offset != NOT_KEPT for entry in entries.values()):
            # Closed with the last reference to this object; closing it releases the lock.
            weakref.finalize(self, os.close, _open_shared(pcm))

    def __reduce__(self) -> tuple[type["PCMStore"], tuple[Path, Index]]:
        return PCMStore, (self.pcm, self.entries)

    @property
    def failures(self) -> dict[int, str]:
        """Why a track cannot be used, by track id."""
        return failures(self.entries)

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track from `start` on into `out`, shape (n,); return how many there were."""
        entry = self.entries[track_id]
        count = max(0, min(len(out), entry.n_samples - start))
        # A file object of each call's own: threads, and processes after a fork, would share the position of one.
        with self.pcm.open("rb", buffering=0) as file:
            file.seek((entry.offset + start) * SAMPLE_BYTES)
            if file.readinto(out[:count].data) != count * SAMPLE_BYTES:
                raise LitGenreError(f"{self.pcm} ends before track {track_id}: delete that folder and run again.")
        return count

    def is_intact(self, track_id: int) -> bool:
        """Compare the samples of a track with their checksum."""
        entry, checksum = self.entries[track_id], 0
        for block in read_blocks(self.pcm, entry):
            checksum = crc32(block, checksum)
        return checksum == entry.crc32


def read_blocks(pcm: Path, entry: Entry) -> Iterator[bytes]:
    """Yield the samples of a track, block by block."""
    with pcm.open("rb", buffering=0) as file:
        file.seek(entry.offset * SAMPLE_BYTES)
        left = entry.n_samples * SAMPLE_BYTES
        while left and (block := file.read(min(left, BLOCK_BYTES))):
            left -= len(block)
            yield block


def find_damaged(store: PCMStore, track_ids: Iterable[int], description: str) -> list[int]:
    """Verify the checksums of the samples of tracks, with a progress bar; return the tracks that differ."""
    kept = [track_id for track_id in track_ids if store.entries[track_id].offset != NOT_KEPT]
    damaged = []
    with progress(description, len(kept), "tracks") as advance:
        for track_id in kept:
            if not store.is_intact(track_id):
                damaged.append(track_id)
            advance()
    return damaged


def failures(index: Index) -> dict[int, str]:
    """Return why tracks cannot be used, by track id."""
    return {entry.track_id: entry.reason for entry in index.values() if entry.reason}


def store_folder(parent: Path, name: str, sample_rate: int) -> Path:
    """Return the folder of a store, named by everything but the files themselves that determines its content."""
    digest = hashlib.sha256(f"{DECODER}, {sample_rate} Hz".encode()).hexdigest()[:8]
    return parent / f"{name}-{sample_rate}-{digest}"


def samples_path(folder: Path, generation: int) -> Path:
    """Return the file of samples of a generation."""
    return folder / f"pcm-{generation}.int16"


def newest_generation(entries: Iterable[Entry]) -> int:
    """Return the generation of the lines of an index, 1 if there are none."""
    return max((entry.generation for entry in entries), default=1)


def open_store(folder: Path) -> PCMStore:
    """Open a store as it is."""
    while True:
        index = read_index(folder)
        # Between the two calls another process may have copied the samples to a new file.
        with suppress(FileNotFoundError):
            return PCMStore(samples_path(folder, newest_generation(index.values())), index)


def read_index(folder: Path) -> Index:
    """Read the lines of the index that are whole and whose samples are there; a killed build may leave others.

    Raises:
        LitGenreError: The index is damaged.
    """
    entries = read_lines(folder)
    generation = newest_generation(entries)
    path = samples_path(folder, generation)
    n_samples = path.stat().st_size // SAMPLE_BYTES if path.exists() else 0
    return {
        entry.track_id: entry
        for entry in entries
        if entry.offset == NOT_KEPT or (entry.generation == generation and entry.offset + entry.n_samples <= n_samples)
    }


def read_lines(folder: Path) -> list[Entry]:
    """Read all whole lines of the index, in order; of two of one track, the later one is valid.

    Raises:
        LitGenreError: The index is damaged.
    """
    index = folder / "index.csv"
    if not index.exists():
        return []
    try:
        whole = index.read_bytes().rpartition(b"\n")[0].decode()
        header, *rows = list(csv.reader(whole.split("\n"))) or [list(COLUMNS)]
        if header and header != list(COLUMNS):
            raise ValueError(f"its columns are {', '.join(header)}")
        return [_entry(fields) for fields in rows]
    except (ValueError, csv.Error) as error:
        raise LitGenreError(
            f"{index} is damaged ({error}): delete its folder, and the audio is decoded again."
        ) from error


def line_checksum(entry: Entry) -> int:
    """Return the CRC-32 of a line of the index: with a wrong digit in it, another track's samples would be read."""
    return crc32(repr(tuple(entry)).encode())


def _entry(fields: list[str]) -> Entry:
    track_id, generation, offset, n_samples, checksum, status, lost, size, mtime, source_checksum, reason, line = fields
    numbers = (int(track_id), int(generation), int(offset), int(n_samples), int(checksum))
    source = (int(size), int(mtime), int(source_checksum))
    entry = Entry(*numbers, cast(Status, status), float(lost), *source, reason)
    if line_checksum(entry) != int(line):
        raise ValueError(f"the line of track {track_id} differs from its checksum")
    return entry


def _open_shared(path: Path) -> int:
    """Open a file for reading, and keep it from being deleted until it is closed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "win32":  # There, a file that is open is not deleted anyway.
            with suppress(OSError):  # A file system without locks, on which `delete_unread` deletes nothing.
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(f"{path} was replaced")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_read(path: Path) -> bool:
    """Check whether a `PCMStore` of this process or of another one may be reading a file of samples."""
    if sys.platform == "win32":
        return False
    # For writing, without which network file systems give no exclusive lock.
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def delete_unread(path: Path) -> None:
    """Delete a file of samples unless a `PCMStore` may be reading it; a later build tries again."""
    with suppress(OSError):
        if sys.platform == "win32":
            path.unlink()
            return
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
