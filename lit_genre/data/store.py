"""Decode once: the PCM of a whole subset in one file, with an index that says what lies where, or why not.

A store is a folder with two files. `pcm.int16` holds the samples of all clips, one after the other; `index.csv`
has one line for each file that was tried. Both are only ever appended to, samples first: whatever moment a
build is killed at, every line that is whole is true, and the next build goes on behind it.

Clips are read with plain reads and not through a memory map: a map counts the pages it has touched as the
process's memory, so that training on FMA small would show 8.5 GB and be killed on clusters that count so.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lit_genre.data.audio import DECODER
from lit_genre.errors import LitGenreError

SAMPLE_BYTES: Final = 2
NOT_KEPT: Final = -1
"""Offset of a track that is usable, but whose samples stay in its own file."""


class Entry(NamedTuple):
    """One line of the index.

    Attributes:
        track_id: Number of the track.
        offset: Where its samples begin, in samples; `NOT_KEPT` in an index without samples.
        n_samples: How many there are; 0 where the file could not be used.
        source_bytes: Size of the file that was decoded, -1 where there was none.
        source_mtime_ns: Its time of modification.
        reason: Why the file could not be used, "" where it could.
    """

    track_id: int
    offset: int
    n_samples: int
    source_bytes: int
    source_mtime_ns: int
    reason: str


Index = dict[int, Entry]


class AudioSource(Protocol):
    """Where the samples of tracks are read from; plain data, so that it travels to worker processes."""

    @property
    def entries(self) -> Index:
        """Index line of each track that was asked for."""

    @property
    def failures(self) -> dict[int, str]:
        """Why a track is missing, by track id."""

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track from `start` on into `out`, shape (n,), as many as there are; say how many."""


@dataclass(frozen=True)
class PCMStore:
    """Reads the clips of a finished store.

    Attributes:
        pcm: File of the samples.
        entries: Index line of each track that was asked for.
    """

    pcm: Path
    entries: Index

    @property
    def failures(self) -> dict[int, str]:
        """Why a track is missing, by track id."""
        return failures(self.entries)

    def read(self, track_id: int, start: int, out: NDArray[np.int16]) -> int:
        """Read samples of a track from `start` on into `out`, shape (n,), as many as there are; say how many."""
        entry = self.entries[track_id]
        count = max(0, min(len(out), entry.n_samples - start))
        with self.pcm.open("rb", buffering=0) as file:
            file.seek((entry.offset + start) * SAMPLE_BYTES)
            if file.readinto(out[:count].data) != count * SAMPLE_BYTES:
                raise LitGenreError(f"{self.pcm} ends before track {track_id}: delete that folder and run again.")
        return count


def failures(index: Index) -> dict[int, str]:
    """Why tracks cannot be used, by track id."""
    return {entry.track_id: entry.reason for entry in index.values() if entry.reason}


def store_folder(parent: Path, name: str, sample_rate: int) -> Path:
    """Name the folder of a store by all that determines its content but the files themselves."""
    digest = hashlib.sha256(f"{DECODER}, {sample_rate} Hz".encode()).hexdigest()[:8]
    return parent / f"{name}-{sample_rate}-{digest}"


def read_index(folder: Path) -> Index:
    """Read the whole lines whose samples are there; what a kill left behind them is as if it were not.

    Raises:
        LitGenreError: The index is not one that this program wrote.
    """
    index, pcm = folder / "index.csv", folder / "pcm.int16"
    if not index.exists() or not pcm.exists():
        return {}
    n_samples = pcm.stat().st_size // SAMPLE_BYTES
    try:
        whole = index.read_bytes().rpartition(b"\n")[0].decode()
        entries = [_entry(fields) for fields in csv.reader(whole.splitlines())]
    except ValueError as error:
        raise LitGenreError(
            f"{index} is damaged ({error}): delete its folder, and the audio is decoded again."
        ) from error
    return {
        entry.track_id: entry
        for entry in entries
        if entry.offset == NOT_KEPT or entry.offset + entry.n_samples <= n_samples
    }


def checksum(entry: Entry) -> str:
    """Sum up a line of the index: with a wrong digit in it, the sound of another track would be read."""
    return f"{crc32(repr(tuple(entry)).encode()):08x}"


def _entry(fields: list[str]) -> Entry:
    *numbers, reason, expected = fields
    track_id, offset, n_samples, source_bytes, source_mtime_ns = map(int, numbers)
    entry = Entry(track_id, offset, n_samples, source_bytes, source_mtime_ns, reason)
    if checksum(entry) != expected:
        raise ValueError(f"the line of track {track_id} differs from its checksum")
    return entry
