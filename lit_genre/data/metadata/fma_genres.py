"""Read FMA's genres.csv: 163 genres in 16 trees, where a genre implies its ancestors."""

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
"""Bytes that are checked at a time: tracks.csv has 260 MB."""


@dataclass(frozen=True)
class Genres:
    """Titles and parents of genres.

    Attributes:
        path: The file that they were read from, for messages.
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
        """Return the titles of genres and of all their ancestors: Punk implies Rock.

        Args:
            genre_ids: Ids of the genres.

        Raises:
            KeyError: There is no such genre.
        """
        implied: set[int] = set()
        for genre_id in genre_ids:
            # Stops at an ancestor that is already included.
            while genre_id != _ROOT and genre_id not in implied:
                implied.add(genre_id)
                genre_id = self.parents[genre_id]
        return {self.titles[genre_id] for genre_id in implied}


def genres_path(root: Path) -> Path:
    """Return the path of genres.csv.

    Args:
        root: Folder with `fma_metadata`.
    """
    return root / "fma_metadata" / "genres.csv"


def load_genres(root: Path) -> Genres:
    """Read the genres.

    Args:
        root: Folder that has `fma_metadata/genres.csv`.

    Returns:
        Titles and parents of the genres, by id.

    Raises:
        LitGenreError: The file does not exist, is not text, or has no such columns or no rows; or a row has no id or no
            title, a duplicate of one, a parent that does not exist, or itself among its ancestors.
    """
    path = genres_path(root)
    try:
        check_text(path)
        # index_col=False: a row with more fields than columns must not shift its values.
        table = pd.read_csv(path, usecols=_COLUMNS, index_col=False, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise LitGenreError(f"{path} cannot be read: {error}. Fetch fma_metadata.zip again.") from error
    # Line numbers in messages: the header is line 1, so row 0 is line 2.
    for column, (pattern, expected) in _PATTERNS.items():
        fits = table[column].str.fullmatch(pattern)
        if not fits.all():
            row = int((~fits).to_numpy().argmax())
            raise LitGenreError(f"{path}, line {row + 2}: {column} is {table[column].iloc[row]!r}, not {expected}.")
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
    # A cycle of parents would make with_ancestors endless.
    for genre_id in ids:
        _check_ancestors(genres, genre_id)
    return genres


def _check_ancestors(genres: Genres, genre_id: int) -> None:
    visited, ancestor = {genre_id}, genre_id
    while (ancestor := genres.parents[ancestor]) != _ROOT:
        if ancestor not in genres.parents or ancestor in visited:
            fault = "is its own ancestor" if ancestor in visited else f"has the ancestor {ancestor}, which is not there"
            raise LitGenreError(f"{genres.path}: genre {genre_id}, {genres.titles[genre_id]}, {fault}.")
        visited.add(ancestor)


def check_text(path: Path) -> None:
    """Check that a file is UTF-8 text without zero bytes.

    If a disk has lost a block, it returns zeros, and the rows in that block would be missing without an error.

    Args:
        path: The file.

    Raises:
        LitGenreError: The file is not UTF-8, or has a zero byte; the message has the number of the line.
        OSError: The file cannot be read.
    """
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        # The empty block at the end shows a character that is truncated.
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
