"""Append tracks to a store such that a kill at any time leaves it valid, and free the space of stale samples."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final, NamedTuple, Self
from zlib import crc32

from lit_genre.console import console
from lit_genre.data.decoding.track_audio import TrackAudio
from lit_genre.data.store.index import (
    COLUMNS,
    NOT_KEPT,
    SAMPLE_BYTES,
    Entry,
    Index,
    index_path,
    line_checksum,
    newest_generation,
    samples_path,
)
from lit_genre.data.store.pcm import BLOCK_BYTES, delete_unread, is_read, read_blocks
from lit_genre.files import atomic_write, sync

TRACKS_PER_COMMIT: Final = 64
"""Number of tracks between two forced writes to disk, so at most this many are decoded again after a power failure."""

MAX_STALE_FRACTION: Final = 0.1
"""Fraction of the file of samples that may be stale. To free it, all other samples are copied: with a tenth, fewer than
ten bytes are copied for each byte that is freed, and the store is at most a ninth too large."""


class DecodedTrack(NamedTuple):
    """A track that was decoded or measured.

    Attributes:
        entry: Index line of the track. The position and the checksum of new samples are not filled in yet.
        audio: New samples to append to the store; None if there are none.
    """

    entry: Entry
    audio: TrackAudio | None = None


def marker_path(folder: Path) -> Path:
    """Return the path of the file that exists while a build runs, and after a killed build.

    It contains the number of lines that the index had when the build began.

    Args:
        folder: Folder of the store.

    Returns:
        Path of the marker; it need not exist.
    """
    return folder / "building"


class StoreWriter:
    """Appends tracks to the two files of a store.

    Lines are only added to the index when their samples are on the disk. The lock of the folder must be held.

    Args:
        folder: Folder of the store.
        known: Index lines that are valid; all others are removed.

    Attributes:
        entries: Index lines that are on the disk, by track id.

    Raises:
        OSError: The store cannot be written.
    """

    def __init__(self, folder: Path, known: Index) -> None:
        self.entries = dict(known)
        self._folder = folder
        self._pending: list[Entry] = []
        # Invalid lines are removed: a line without samples would look valid once other samples are written there.
        write_index(folder, known.values())
        # The marker exists before any sample is written, so a killed build is always verified.
        with atomic_write(marker_path(folder)) as file:
            file.write(str(len(known)).encode())
        self._generation = newest_generation(known.values())
        # Samples are appended, and never overwritten even if they are stale: another process may be reading them.
        self._pcm = samples_path(folder, self._generation).open("ab")
        # After a killed build the file may end inside a sample.
        self._pcm.write(bytes(self._pcm.tell() % SAMPLE_BYTES))
        self._end = self._pcm.tell() // SAMPLE_BYTES
        self._index = index_path(folder).open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Committed even after an error or Ctrl-C, so that the tracks decoded so far are kept.
        with self._pcm, self._index:
            self.commit()
        if kind is None:
            self.entries = _free_stale_space(self._folder, self.entries)
        marker_path(self._folder).unlink()

    def add(self, track: DecodedTrack) -> None:
        """Append a track, and commit after every `TRACKS_PER_COMMIT` tracks.

        Args:
            track: The track; its audio is closed.

        Raises:
            OSError: The store cannot be written.
        """
        entry = track.entry
        if entry.offset == NOT_KEPT:
            entry = entry._replace(generation=self._generation)
        if track.audio is not None:
            with track.audio as audio:
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
        """Write the added tracks to the disk, first the samples and then the lines that refer to them.

        Raises:
            OSError: The store cannot be written.
        """
        sync(self._pcm)
        self._index.write(_lines(self._pending))
        sync(self._index)
        self.entries |= {entry.track_id: entry for entry in self._pending}
        self._pending.clear()


def write_index(folder: Path, entries: Iterable[Entry]) -> None:
    """Replace the index of a store.

    Args:
        folder: Folder of the store.
        entries: The new lines, in order.

    Raises:
        OSError: The index cannot be written.
    """
    with atomic_write(index_path(folder)) as file:
        file.write(",".join(COLUMNS).encode() + b"\n" + _lines(entries))


def _lines(entries: Iterable[Entry]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((*entry, line_checksum(entry)) for entry in entries)
    return text.getvalue().encode()


def _free_stale_space(folder: Path, index: Index) -> Index:
    """Compact the file of samples if too many samples are stale, and delete older files of samples."""
    kept = [entry for entry in index.values() if entry.offset != NOT_KEPT]
    path = samples_path(folder, newest_generation(index.values()))
    n_bytes = path.stat().st_size
    n_stale = n_bytes - sum(entry.n_samples for entry in kept) * SAMPLE_BYTES
    # While another process reads the old file, it cannot be deleted, so a copy would double the space.
    if n_stale > MAX_STALE_FRACTION * n_bytes and not is_read(path):
        try:
            index = _compact(folder, index)
        except OSError as error:
            console.print(f"{path} has {n_stale:,} bytes that are no longer needed. They could not be freed: {error}.")
    used = samples_path(folder, newest_generation(index.values()))
    for other in folder.glob("pcm-*.int16"):
        if other != used:
            delete_unread(other)
    return index


def _compact(folder: Path, index: Index) -> Index:
    """Copy the samples that the index refers to into the file of the next generation; return the new index."""
    old = newest_generation(index.values())
    new, end = old + 1, 0
    compacted = {}
    # The new index is written after the new samples are complete, so a kill between the two loses nothing.
    with atomic_write(samples_path(folder, new)) as file:
        for entry in index.values():
            offset = NOT_KEPT if entry.offset == NOT_KEPT else end
            if offset != NOT_KEPT:
                for block in read_blocks(samples_path(folder, old), entry):
                    file.write(block)
                end += entry.n_samples
            compacted[entry.track_id] = entry._replace(generation=new, offset=offset)
    write_index(folder, compacted.values())
    return compacted
