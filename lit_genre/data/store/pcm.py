"""Read the decoded samples of all tracks of a data set from one file.

A store is a folder with two files. `pcm-<generation>.int16` contains the samples of all tracks, one track after the
other. `index.csv` contains a line for each track (see `lit_genre.data.store.index`). Both files are only appended to.
To free the space of samples that no line refers to, the other samples are copied to the file of the next generation.

Clips are read with plain reads and not through a memory map. A memory map counts the pages it has touched as memory of
the process: training on FMA small would show 8.5 GB, and clusters that limit this figure would kill it.
"""

import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lit_genre.console import progress
from lit_genre.data.store.index import (
    NOT_KEPT,
    SAMPLE_BYTES,
    Entry,
    Index,
    failures,
    newest_generation,
    read_index,
    samples_path,
)
from lit_genre.errors import LitGenreError

if sys.platform != "win32":
    import fcntl

BLOCK_BYTES: Final = 1 << 20
"""Samples are copied and verified in blocks of this size, bytes, so that a long track needs no more memory."""


class AudioSource(Protocol):
    """Reads the samples of tracks. It can be pickled for worker processes."""

    @property
    def entries(self) -> Index:
        """Index line of each track, by track id."""

    @property
    def failures(self) -> dict[int, str]:
        """Why a track cannot be used, by track id."""

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track into an array.

        Args:
            track_id: Id of the track.
            start: Position of the first sample to read.
            out: Array to fill, shape (n,), int16 PCM.

        Returns:
            Number of samples read; less than n at the end of the track.
        """


class PCMStore:
    """Reads the samples of a finished store.

    While it exists, no process deletes the file of samples.

    Args:
        pcm: File of the samples.
        entries: Index line of each track, by track id.

    Raises:
        FileNotFoundError: The file does not exist, or another process has just replaced it.
    """

    def __init__(self, pcm: Path, entries: Index) -> None:
        self.pcm, self.entries = pcm, entries
        if any(entry.offset != NOT_KEPT for entry in entries.values()):
            # The file is closed when this object is collected, which releases the lock.
            weakref.finalize(self, os.close, _open_shared(pcm))

    # A worker process opens the file and locks it itself: a file descriptor cannot be pickled.
    def __reduce__(self) -> tuple[type["PCMStore"], tuple[Path, Index]]:
        return PCMStore, (self.pcm, self.entries)

    @property
    def failures(self) -> dict[int, str]:
        """Why a track cannot be used, by track id."""
        return failures(self.entries)

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track into an array.

        Args:
            track_id: Id of the track.
            start: Position of the first sample to read.
            out: Array to fill, shape (n,), int16 PCM.

        Returns:
            Number of samples read; less than n at the end of the track.

        Raises:
            LitGenreError: The file of samples ends before the samples of the track.
        """
        entry = self.entries[track_id]
        count = max(0, min(len(out), entry.n_samples - start))
        # Each call opens the file, because threads and forked processes would share the position of an open file.
        with self.pcm.open("rb", buffering=0) as file:
            file.seek((entry.offset + start) * SAMPLE_BYTES)
            if file.readinto(out[:count].data) != count * SAMPLE_BYTES:
                raise LitGenreError(
                    f"{self.pcm} ends before the samples of track {track_id}. Delete the folder of this file and run "
                    "the command again; the audio is then decoded again."
                )
        return count

    def is_intact(self, track_id: int) -> bool:
        """Check whether the samples of a track have the checksum in the index.

        Args:
            track_id: Id of a track with samples in the store.

        Returns:
            Whether the checksums are equal.
        """
        entry, checksum = self.entries[track_id], 0
        for block in read_blocks(self.pcm, entry):
            checksum = crc32(block, checksum)
        return checksum == entry.crc32


def read_blocks(pcm: Path, entry: Entry) -> Iterator[bytes]:
    """Read the samples of a track as bytes, block by block.

    Args:
        pcm: File of the samples.
        entry: Index line of a track with samples in this file.

    Yields:
        Bytes of int16 samples, at most `BLOCK_BYTES` at a time; fewer in all if the file ends before.

    Raises:
        OSError: The file of samples cannot be read.
    """
    with pcm.open("rb", buffering=0) as file:
        file.seek(entry.offset * SAMPLE_BYTES)
        n_left = entry.n_samples * SAMPLE_BYTES
        while n_left and (block := file.read(min(n_left, BLOCK_BYTES))):
            n_left -= len(block)
            yield block


def find_damaged(store: PCMStore, track_ids: Iterable[int], description: str) -> list[int]:
    """Verify the checksums of the samples of tracks, with a progress bar.

    Args:
        store: The store.
        track_ids: Ids of the tracks to verify; tracks without samples in the store are skipped.
        description: Text of the progress bar.

    Returns:
        Ids of the tracks with samples that differ from their checksum.
    """
    kept = [track_id for track_id in track_ids if store.entries[track_id].offset != NOT_KEPT]
    damaged = []
    with progress(description, len(kept), "tracks") as advance:
        for track_id in kept:
            if not store.is_intact(track_id):
                damaged.append(track_id)
            advance()
    return damaged


def open_store(folder: Path) -> PCMStore:
    """Open a store for reading, without decoding missing tracks.

    Args:
        folder: Folder of the store.

    Returns:
        The store, with all valid lines of its index.

    Raises:
        LitGenreError: The index is damaged.
    """
    while True:
        index = read_index(folder)
        # Between the two calls another process may have copied the samples to a new file.
        with suppress(FileNotFoundError):
            return PCMStore(samples_path(folder, newest_generation(index.values())), index)


def _open_shared(path: Path) -> int:
    """Open a file for reading, and protect it from deletion until it is closed; return the file descriptor."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "win32":  # Windows does not delete an open file anyway.
            with suppress(OSError):  # The file system has no locks; `delete_unread` then deletes nothing.
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            # Between opening and locking, another process may have deleted the file.
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise FileNotFoundError(f"{path} was replaced")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_read(path: Path) -> bool:
    """Check whether a `PCMStore` of this process or of another one may be reading a file of samples.

    Args:
        path: File of the samples.

    Returns:
        True if the file is locked, or the file system has no locks. Always False on Windows.

    Raises:
        OSError: The file cannot be opened for writing.
    """
    if sys.platform != "win32":
        # Opened for writing, because network file systems give an exclusive lock only for such files.
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    return False


def delete_unread(path: Path) -> None:
    """Delete a file of samples unless a `PCMStore` may be reading it; a later build tries again.

    Args:
        path: File of the samples.
    """
    # Not deleting the file wastes space, but is no reason to fail.
    with suppress(OSError):
        if sys.platform == "win32":
            path.unlink()
        else:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
