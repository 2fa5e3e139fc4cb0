"""The list that is kept of a data set's songs: which is in which split, and which number it has."""

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from lit_genre.data.metadata.manifest import Song, read_list
from lit_genre.files import atomic_write

_COLUMNS: Final = tuple(field.name for field in fields(Song))


def write_songs(path: Path, songs: Iterable[Song], numbers: dict[str, int]) -> None:
    """Write a list of songs that `read_songs` takes, with the number of each beside it, as in a run's test.csv."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow((*_COLUMNS, "track_id"))
    for song in songs:
        table.writerow((*(getattr(song, name) for name in _COLUMNS), numbers[song.path]))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))


def read_kept(path: Path) -> list[Song]:
    """Read a list that `write_songs` wrote and anyone may have edited; no songs where there is no such list.

    Raises:
        LitGenreError: A line has a fault; says which, with its value.
    """
    return read_list(path, None) if path.exists() else []


def number_songs(paths: Iterable[str]) -> dict[str, int]:
    """Number songs by their paths alone, so that a song keeps its number whatever others come."""
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for path in sorted(paths):
        number = number_of(path)
        while number in taken:
            number += 1
        numbers[path] = number
        taken.add(number)
    return numbers


def number_of(text: str) -> int:
    """Derive a number from a text, 1 to 2**53 - 2: larger ones are not exact in spreadsheets and JSON."""
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    return 1 + int.from_bytes(digest[:8]) % (2**53 - 2)
