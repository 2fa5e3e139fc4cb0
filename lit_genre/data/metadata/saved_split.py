"""Save the split of a data set as a list of songs with their splits and track ids, and read it again."""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from lit_genre.data.metadata.manifest import ManifestEntry, read_list
from lit_genre.files import atomic_write

_COLUMNS: Final = tuple(field.name for field in fields(ManifestEntry))


def write_saved_split(path: Path, entries: Iterable[ManifestEntry], track_ids: dict[str, int]) -> None:
    """Write a list of songs that `read_manifest` accepts, with a column of track ids as in a run's test.csv.

    Args:
        path: The file to write or replace.
        entries: The songs.
        track_ids: Track id of each song, by its path.

    Raises:
        OSError: The file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow((*_COLUMNS, "track_id"))
    for entry in entries:
        table.writerow((*(getattr(entry, name) for name in _COLUMNS), track_ids[entry.path]))
    with atomic_write(path) as file:
        # Names of files may be any bytes; they are written as they are.
        file.write(text.getvalue().encode(errors="surrogateescape"))


def read_saved_split(path: Path) -> list[ManifestEntry]:
    """Read a list that `write_saved_split` wrote and a user may have edited.

    Args:
        path: The list.

    Returns:
        The songs; none if there is no such list.

    Raises:
        LitGenreError: A line has an error.
    """
    return read_list(path, None) if path.exists() else []


def assign_track_ids(paths: Iterable[str]) -> dict[str, int]:
    """Derive track ids from the paths of songs, so that a song keeps its id when other songs are added.

    Args:
        paths: Path of each song.

    Returns:
        Track id of each song, by its path; no two songs have the same.
    """
    track_ids: dict[str, int] = {}
    used: set[int] = set()
    # Sorted, so that after a collision the same song gets the next id, whatever the order of the songs.
    for path in sorted(paths):
        track_id = stable_id(path)
        while track_id in used:
            track_id += 1
        track_ids[path] = track_id
        used.add(track_id)
    return track_ids


def stable_id(text: str) -> int:
    """Derive a number from a text, 1 to 2**53 - 2: larger numbers are not exact in spreadsheets and JSON."""
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    return 1 + int.from_bytes(digest[:8]) % (2**53 - 2)
