"""Read the index of a store: a CSV table with one line for each track.

The table has the columns of `Entry` and a checksum of each line. Lines are only appended, and always after the samples
they refer to. If a build is killed, the last line may be incomplete, but every whole line is correct.
"""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast
from zlib import crc32

from lit_genre.data.decoding.status import StatusKind, TrackStatus
from lit_genre.data.decoding.track_audio import DECODER
from lit_genre.errors import LitGenreError

# Samples are int16.
SAMPLE_BYTES: Final = 2

NOT_KEPT: Final = -1
"""Offset of a track without samples in the store: it cannot be used, or its samples stay in its own file."""

UNKNOWN: Final = -1
"""Size of a file that could not be opened; checksum of samples or files that are not kept."""

Status = StatusKind | Literal["failed"]


class Entry(NamedTuple):
    """One line of the index.

    Attributes:
        track_id: Id of the track.
        generation: Number of the file of samples, `pcm-<generation>.int16`.
        offset: Position of its first sample in that file, in samples; `NOT_KEPT` if the samples are not there.
        n_samples: Number of samples; 0 if the track cannot be used.
        crc32: CRC-32 of the samples, as bytes; `UNKNOWN` if they are not kept.
        status: How much of its file was decoded: "complete", "recovered" (parts inside the file are missing),
            "truncated" (its end is missing), or "failed".
        seconds_lost: Length of the missing parts, s.
        source_bytes: Size of the file that was decoded, bytes; `UNKNOWN` if there was none.
        source_mtime_ns: Time of the last modification of that file, ns since the epoch.
        source_crc32: CRC-32 of the bytes of that file; `UNKNOWN` if the samples are not kept.
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
        """Compute the fraction of the track that was decoded.

        Args:
            sample_rate: Sample rate of the store, Hz.

        Returns:
            Fraction, 0 to 1; 0 if the track cannot be used.
        """
        n_missing = self.seconds_lost * sample_rate
        return self.n_samples / (self.n_samples + n_missing) if self.n_samples else 0.0

    def describe(self, sample_rate: int) -> str:
        """Return a message on the missing parts of the track.

        Args:
            sample_rate: Sample rate of the store, Hz.

        Returns:
            The message, or why the track cannot be used; "" if the track is complete.
        """
        if self.status == "failed":
            return self.reason
        return TrackStatus(self.status, self.seconds_lost).describe(self.n_samples / sample_rate)


# Each line has a checksum of its own, because lines are appended: one for the file would change with each of them.
COLUMNS: Final = (*Entry._fields, "line_crc32")

Index = dict[int, Entry]
"""Index line of each track, by track id."""


def failures(index: Index) -> dict[int, str]:
    """Return why tracks cannot be used, by track id."""
    return {entry.track_id: entry.reason for entry in index.values() if entry.reason}


def store_folder(parent: Path, name: str, sample_rate: int) -> Path:
    """Return the folder of a store.

    Its name contains the sample rate and a hash of the versions of the decoders, so that another version never mixes
    its samples with earlier ones.

    Args:
        parent: Folder of all stores.
        name: Name of the data set.
        sample_rate: Sample rate of the decoded audio, Hz.

    Returns:
        The folder `<name>-<sample_rate>-<hash>` in `parent`; it need not exist.
    """
    # Eight hexadecimal digits: a collision of two versions has a probability of about 1 in 4 billion.
    digest = hashlib.sha256(f"{DECODER}, {sample_rate} Hz".encode()).hexdigest()[:8]
    return parent / f"{name}-{sample_rate}-{digest}"


def index_path(folder: Path) -> Path:
    """Return the path of the index of a store.

    Args:
        folder: Folder of the store.

    Returns:
        Path of the CSV table; it need not exist.
    """
    return folder / "index.csv"


def samples_path(folder: Path, generation: int) -> Path:
    """Return the path of the file of samples of a generation.

    Args:
        folder: Folder of the store.
        generation: Number of the file of samples: 1 in a new store, and one more after each compaction.

    Returns:
        Path of the int16 samples; it need not exist.
    """
    return folder / f"pcm-{generation}.int16"


def newest_generation(entries: Iterable[Entry]) -> int:
    """Return the highest generation in the lines of an index; 1 if there are no lines."""
    return max((entry.generation for entry in entries), default=1)


def read_index(folder: Path) -> Index:
    """Read the valid lines of the index: complete lines that refer to samples in the store.

    A killed build may leave lines without samples.

    Args:
        folder: Folder of the store.

    Returns:
        The valid line of each track, by track id; an empty index if there is no store.

    Raises:
        LitGenreError: The index is damaged.
    """
    entries = read_lines(folder)
    generation = newest_generation(entries)
    # The size is compared once: a stat for each of 100,000 tracks would take seconds.
    path = samples_path(folder, generation)
    n_samples = path.stat().st_size // SAMPLE_BYTES if path.exists() else 0
    # Later lines replace earlier ones of the same track.
    return {
        entry.track_id: entry
        for entry in entries
        if entry.offset == NOT_KEPT or (entry.generation == generation and entry.offset + entry.n_samples <= n_samples)
    }


def read_lines(folder: Path) -> list[Entry]:
    """Read all complete lines of the index, in order; if a track has several, the last one is valid.

    Args:
        folder: Folder of the store.

    Returns:
        The lines; an empty list if there is no index.

    Raises:
        LitGenreError: The index is damaged.
    """
    path = index_path(folder)
    if not path.exists():
        return []
    try:
        # A killed build may have written only a part of the last line; such a line does not end with a line feed.
        whole_lines = path.read_bytes().rpartition(b"\n")[0].decode()
        # Split at line feeds only, since a reason may contain other characters at which str.splitlines splits.
        header, *rows = list(csv.reader(whole_lines.split("\n"))) or [list(COLUMNS)]
        if header and header != list(COLUMNS):
            raise ValueError(f"its columns are {', '.join(header)}")
        return [_entry(fields) for fields in rows]
    except (ValueError, csv.Error) as error:
        raise LitGenreError(
            f"{path} is damaged ({error}). Delete the folder of this file; the audio is then decoded again."
        ) from error


def line_checksum(entry: Entry) -> int:
    """Compute the CRC-32 of a line of the index, because a wrong digit would select the samples of another track."""
    # repr writes a float such that the same value is read back, so the checksum can be computed from the values.
    return crc32(repr(tuple(entry)).encode())


def _entry(fields: list[str]) -> Entry:
    track_id, generation, offset, n_samples, checksum, status, seconds_lost, *source_fields, reason, line_crc = fields
    source_bytes, source_mtime_ns, source_crc = map(int, source_fields)
    entry = Entry(
        int(track_id),
        int(generation),
        int(offset),
        int(n_samples),
        int(checksum),
        cast(Status, status),
        float(seconds_lost),
        source_bytes,
        source_mtime_ns,
        source_crc,
        reason,
    )
    if line_checksum(entry) != int(line_crc):
        raise ValueError(f"the line of track {track_id} differs from its checksum")
    return entry
