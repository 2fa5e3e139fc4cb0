"""FMA's genres.csv: 163 genres in a forest of 16 roots, where a genre implies its ancestors."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import pandas as pd

from lit_genre.errors import LitGenreError

_COLUMNS: Final = ["genre_id", "parent", "title"]
_ROOT: Final = 0
_PATTERNS: Final = {
    "genre_id": (r"[1-9][0-9]{0,8}", "a number"),
    "parent": (r"0|[1-9][0-9]{0,8}", "a number"),
    "title": (r"(?s).*\S.*", "a title"),
}
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Genres:
    """Titles and parents of genres.

    Attributes:
        path: The file they were read from, for messages.
        titles: Title of each genre id.
        parents: Parent of each genre id, 0 for a root.
    """

    path: Path
    titles: dict[int, str]
    parents: dict[int, int]

    @property
    def roots(self) -> set[str]:
        """Titles of the genres without a parent."""
        return {self.titles[genre_id] for genre_id, parent in self.parents.items() if parent == _ROOT}

    def with_ancestors(self, genre_ids: Iterable[int]) -> set[str]:
        """Titles of genres and of all that they imply: Punk is Rock.

        Raises:
            KeyError: There is no such genre.
        """
        implied: set[int] = set()
        for genre_id in genre_ids:
            while genre_id != _ROOT and genre_id not in implied:
                implied.add(genre_id)
                genre_id = self.parents[genre_id]
        return {self.titles[genre_id] for genre_id in implied}


def genres_path(root: Path) -> Path:
    """Tell where FMA's metadata has the genres."""
    return root / "fma_metadata" / "genres.csv"


def load_genres(root: Path) -> Genres:
    """Read the genres.

    Args:
        root: Folder that holds `fma_metadata/genres.csv`.

    Raises:
        LitGenreError: The file is not there or no text, or has no such columns or no rows; or a row has no id or no
            title, one that another has, a parent that is not there, or itself among its ancestors.
    """
    path = genres_path(root)
    try:
        check_text(path)
        table = pd.read_csv(path, usecols=_COLUMNS, index_col=False, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise LitGenreError(f"{path} cannot be read: {error}. Fetch fma_metadata.zip again.") from error
    for column, (pattern, needed) in _PATTERNS.items():
        fits = table[column].str.fullmatch(pattern)
        if not fits.all():
            row = int((~fits).to_numpy().argmax())
            raise LitGenreError(f"{path}, line {row + 2}: {column} is {table[column].iloc[row]!r}, not {needed}.")
    if table.empty:
        raise LitGenreError(f"{path} has no rows. Fetch fma_metadata.zip again.")
    for column in ("genre_id", "title"):
        if (repeated := table[column].duplicated()).any():
            row = int(repeated.to_numpy().argmax())
            raise LitGenreError(
                f"{path}, line {row + 2}: an earlier row has the {column} {table[column].iloc[row]!r} too."
            )
    ids = [int(text) for text in table["genre_id"]]
    genres = Genres(
        path,
        dict(zip(ids, table["title"], strict=True)),
        dict(zip(ids, map(int, table["parent"]), strict=True)),
    )
    for genre_id in ids:
        _check_ancestors(genres, genre_id)
    return genres


def _check_ancestors(genres: Genres, genre_id: int) -> None:
    passed, place = {genre_id}, genre_id
    while (place := genres.parents[place]) != _ROOT:
        if place not in genres.parents or place in passed:
            fault = "is its own ancestor" if place in passed else f"has the ancestor {place}, which is not there"
            raise LitGenreError(f"{genres.path}: genre {genre_id}, {genres.titles[genre_id]}, {fault}.")
        passed.add(place)


def check_text(path: Path) -> None:
    """Refuse a table that holds what is no text, in whichever column.

    Where a disk has lost a block, what comes back are zeros: the rows in it would be gone without a word.

    Raises:
        LitGenreError: It is not UTF-8, or has a zero byte; says in which line.
        OSError: It cannot be read.
    """
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        for block in chain(iter(partial(file.read, _BLOCK), b""), [b""]):
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise LitGenreError(f"{path}, line {line}, is not UTF-8. Fetch fma_metadata.zip again.") from error
            if (zero := block.find(0)) >= 0:
                line += block.count(b"\n", 0, zero)
                raise LitGenreError(f"{path}, line {line}, has a zero byte. Fetch fma_metadata.zip again.")
            line += block.count(b"\n")
