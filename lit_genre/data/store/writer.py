"""Append tracks to a store such that it can be stopped at any moment, and free the space of stale samples."""

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
"""Tracks between two forced writes to disk: at most so many are decoded again after a power cut."""

MAX_STALE_FRACTION: Final = 0.1
"""Part of the file of samples that no line may refer to. To free it, all other samples are copied: at a tenth, fewer
than ten bytes are copied for each byte that is freed, and the store is at most a ninth too large."""


class DecodedTrack(NamedTuple):
    """A track that was decoded or measured.

    Attributes:
        entry: Its index line. If the samples are new, their position and checksum are not filled in yet.
        audio: Its samples if they are new and are to be kept, else None.
    """

    entry: Entry
    audio: TrackAudio | None = None


def marker_path(folder: Path) -> Path:
    """Return the file that exists while a build runs, and after one that was killed.

    It contains the number of lines that the index had when the build began.

    Args:
        folder: Folder of the store.
    """
    return folder / "building"


class StoreWriter:
    """Appends tracks to the two files of a store; lines are added to the index once their samples are on the disk.

    Args:
        folder: Folder of the store.
        known: Index lines that are valid; all others are removed.

    Attributes:
        entries: Index lines that are on the disk.
    """

    def __init__(self, folder: Path, known: Index) -> None:
        self.entries = dict(known)
        self._folder = folder
        self._pending: list[Entry] = []
        # The index is rewritten: a line whose samples are missing would look valid once other samples took their place.
        write_index(folder, known.values())
        with atomic_write(marker_path(folder)) as file:
            file.write(str(len(known)).encode())
        self._generation = newest_generation(known.values())
        # Nothing is overwritten, not even after the last valid samples: another process may be reading there.
        self._pcm = samples_path(folder, self._generation).open("ab")
        # A killed build may have ended inside a sample.
        self._pcm.write(bytes(self._pcm.tell() % SAMPLE_BYTES))
        self._end = self._pcm.tell() // SAMPLE_BYTES
        self._index = index_path(folder).open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Also after an error or Ctrl-C: the tracks decoded so far are kept.
        with self._pcm, self._index:
            self.commit()
        if kind is None:
            self.entries = _free_stale_space(self._folder, self.entries)
        marker_path(self._folder).unlink()

    def add(self, track: DecodedTrack) -> None:
        """Append a track, and commit after every `TRACKS_PER_COMMIT` tracks.

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
        """Force the added tracks to the disk, first the samples and then the lines that refer to them."""
        sync(self._pcm)
        self._index.write(_lines(self._pending))
        sync(self._index)
        self.entries |= {entry.track_id: entry for entry in self._pending}
        self._pending.clear()


def write_index(folder: Path, entries: Iterable[Entry]) -> None:
    """Replace the index of a store.

    Args:
        folder: Folder of the store.
        entries: The new lines.

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
    """Copy the samples that the index refers to if too many others are stale, and delete unused files of samples."""
    kept = [entry for entry in index.values() if entry.offset != NOT_KEPT]
    path = samples_path(folder, newest_generation(index.values()))
    n_bytes = path.stat().st_size
    n_stale = n_bytes - sum(entry.n_samples for entry in kept) * SAMPLE_BYTES
    # While another process reads the old file, it cannot be deleted, and a copy would double the space.
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
    # The new samples are complete before the new index refers to them, so a kill between the two loses nothing.
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
