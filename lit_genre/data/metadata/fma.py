"""Read the tracks of FMA from tracks.csv, the file of its metadata archive.

The file has three header lines (group, field, index name), 52 columns and 106,574 rows. Biographies make up most of its
260 MB, so only the columns below are kept. Subsets are nested: each row has the *smallest* subset that the track is in,
so medium consists of the rows marked small and those marked medium.

Reference: Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017.
"""

import csv
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import pandas as pd

from lit_genre.data.metadata.fma_genres import Genres, check_text, genres_path, load_genres
from lit_genre.data.metadata.track import Split, Subset, Track
from lit_genre.errors import LitGenreError

_SPLITS_BY_NAME: Final[dict[str, Split]] = {"training": "train", "validation": "val", "test": "test"}
_COLUMNS: Final = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "genre_top"): "genre_top",
    ("track", "title"): "title",
    ("artist", "id"): "artist_id",
    ("artist", "name"): "artist",
}
# Not in tables that users write themselves in FMA's layout.
_OPTIONAL: Final = {("track", "genres"): "genres", ("album", "id"): "album_id"}
_NUMBERS: Final = {"track_id": r"[0-9]{1,9}", "artist_id": r"-?[0-9]{1,9}", "album_id": r"-?[0-9]{1,9}"}
_MAX_SHOWN: Final = 40
"""Characters of a wrong line that an error message shows."""

_GENRE_IDS: Final = re.compile(r"\[([0-9]{1,9}(, *[0-9]{1,9})*)?\]")


def clip_path(root: Path, subset: Subset, track_id: int) -> Path:
    """Return the path of the audio file of a track, as in FMA's archive of a subset.

    Args:
        root: Folder with `fma_<subset>`.
        subset: The subset.
        track_id: Id of the track.

    >>> clip_path(Path("data"), "small", 2).as_posix()
    'data/fma_small/000/000002.mp3'
    """
    name = f"{track_id:06d}"
    return root / f"fma_{subset}" / name[:3] / f"{name}.mp3"


def tracks_path(root: Path) -> Path:
    """Return the path of tracks.csv.

    Args:
        root: Folder with `fma_metadata`.
    """
    return root / "fma_metadata" / "tracks.csv"


def load_tracks(root: Path, subset: Subset = "small") -> list[Track]:
    """Read the tracks of a subset, in the order of their ids.

    Args:
        root: Folder that has `fma_metadata/tracks.csv` and `fma_metadata/genres.csv`.
        subset: "small" (8,000 tracks, 8 balanced genres), "medium" (25,000 tracks, 16 genres; contains small), "large"
            (106,574 tracks, 161 genres; contains medium) or "full" (the tracks of large in their whole length).

    Returns:
        The tracks with genres and splits, in the order of their ids.

    Raises:
        LitGenreError: The file does not exist, is not text, or has no header line, column or rows; or a row has an
            unknown split, subset or genre, a duplicate id, an invalid number, or, in small and medium, no genre_top.
    """
    path = tracks_path(root)
    genres = load_genres(root) if genres_path(root).exists() else None
    table = _read_columns(path)
    names = get_args(Subset)
    _check(table, path, f"a subset other than {', '.join(names)}", "subset", ~table["subset"].isin(names))
    _check(table, path, "an id that another row has", "title", pd.Series(table.index.duplicated(), table.index))
    # Rows are checked after the selection: large has rows without genre_top, which is no error there.
    table = table[table["subset"].isin(names[: names.index(subset) + 1])].sort_index()
    _check_rows(table, path, genres)
    rows: Any = table.itertuples()
    return [
        Track(
            int(row.Index),
            _SPLITS_BY_NAME[row.split],
            row.genre_top,
            _titles(row.genres, genres),
            row.title,
            int(row.artist_id),
            row.artist,
            int(row.album_id),
        )
        for row in rows
    ]


def _read_columns(path: Path) -> pd.DataFrame:
    try:
        check_text(path)
        with path.open(encoding="utf-8", newline="") as file:
            header = csv.reader(file)
            columns = list(zip(next(header, []), next(header, []), strict=False))
            index_names = next(header, [])
        missing = [".".join(column) for column in _COLUMNS if column not in columns]
        if missing:
            raise LitGenreError(
                f"{path} has no column {', '.join(missing)}: FMA's tracks.csv opens with three header lines "
                "(group, field, track_id). Fetch fma_metadata.zip again."
            )
        _check_index_names(index_names, path)
        columns_to_read = _COLUMNS | {column: name for column, name in _OPTIONAL.items() if column in columns}
        positions = {0: "track_id"} | {columns.index(column): name for column, name in columns_to_read.items()}
        # As many columns as the header has: pandas would take the number from the first row, which may be truncated.
        names: Any = range(len(columns))
        table = pd.read_csv(
            # All fields as text: pandas would read the title "NA" as a missing value.
            path, skiprows=3, header=None, names=names, usecols=list(positions), index_col=False, dtype=str,
            keep_default_na=False,
        )  # fmt: skip
    except (ValueError, OSError, csv.Error) as error:
        raise LitGenreError(f"{path} cannot be read: {error}. Fetch fma_metadata.zip again.") from error
    if table.empty:
        raise LitGenreError(f"{path} has no rows. Fetch fma_metadata.zip again.")
    table = table.rename(columns=positions)
    # Tables without these columns have no genres for the multilabel task, and no albums.
    table["genres"] = table.get("genres", "[]")
    table["album_id"] = table["album_id"].replace("", "-1") if "album_id" in table else "-1"
    for name, pattern in _NUMBERS.items():
        numbers = table[name].str.fullmatch(pattern)
        if not numbers.all():
            row = int((~numbers).to_numpy().argmax())
            raise LitGenreError(
                f"{path}: {name} is {table[name].iloc[row]!r}, not a number (row {row + 1} of the data). "
                "Fetch fma_metadata.zip again."
            )
        table[name] = table[name].astype("int64")
    return table.set_index("track_id")


def _check_index_names(row: list[str], path: Path) -> None:
    """Refuse a table whose third line is not the third header line: its first track would be taken for a header.

    pandas does not write that line if the index of the table has no name.
    """
    if not row or row[0].strip().isdecimal() or any(row[1:]):
        raise LitGenreError(
            f"{path} lacks its third header line, which has track_id and empty fields: line 3 is "
            f"{','.join(row)[:_MAX_SHOWN]!r}. Insert the line track_id,,, before it, or fetch fma_metadata.zip again."
        )


def _check_rows(table: pd.DataFrame, path: Path, genres: Genres | None) -> None:
    split, genre_top, genre_lists = table["split"], table["genre_top"], table["genres"]
    check = partial(_check, table, path)
    check(f"a split other than {', '.join(_SPLITS_BY_NAME)}", "split", ~split.isin(list(_SPLITS_BY_NAME)))
    check("no genre_top", "genre_top", (genre_top == "") & table["subset"].isin(["small", "medium"]))
    check("genres that are no list of numbers", "genres", ~genre_lists.str.fullmatch(_GENRE_IDS))
    if genres is not None:
        known = {str(genre_id) for genre_id in genres.titles}
        unknown = [text for text in set(genre_lists) if not known.issuperset(_ids(text))]
        check("a genre that genres.csv does not have", "genres", genre_lists.isin(unknown))
        check("a genre_top that is no root in genres.csv", "genre_top", ~genre_top.isin(["", *genres.roots]))


def _check(table: pd.DataFrame, path: Path, fault: str, column: str, rows: "pd.Series[bool]") -> None:
    if rows.any():
        track_id, value, count = table.index[rows][0], table[column][rows].iloc[0], int(rows.sum())
        raise LitGenreError(
            f"{path}: track {track_id} has {fault} ({column} {value!r}; {count:,} such rows). "
            "Fetch fma_metadata.zip again."
        )


def _ids(genre_list: str) -> Iterable[str]:
    return re.findall(r"\d+", genre_list)


def _titles(genre_list: str, genres: Genres | None) -> tuple[str, ...]:
    return tuple(sorted(genres.with_ancestors(map(int, _ids(genre_list))))) if genres else ()
