"""FMA's own metadata, read as it is distributed: tracks.csv to `Track` records.

The file has three header lines (group, field, index name), 52 columns and 106,574 rows; the biographies make
up most of its 260 MB, so only the columns below are kept. Subsets nest: each row carries the *smallest*
subset it belongs to, so medium is the rows marked small and those marked medium.

Reference: Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pandas as pd

from lit_genre.errors import LitGenreError

Subset = Literal["small", "medium"]
Split = Literal["train", "val", "test"]

SPLITS: Final[tuple[Split, ...]] = get_args(Split)
_SPLIT_OF_FMA: Final[dict[str, Split]] = {"training": "train", "validation": "val", "test": "test"}
_COLUMNS: Final = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "genre_top"): "genre_top",
    ("track", "title"): "title",
    ("artist", "id"): "artist_id",
    ("artist", "name"): "artist",
}


@dataclass(frozen=True, slots=True)
class Track:
    """One item of FMA.

    Attributes:
        track_id: FMA's number of the track; names its file.
        split: "train", "val" or "test", as FMA assigned it: no artist is in two of them.
        genre_top: Title of the track's root genre.
        title: Title of the track, "" where unknown.
        artist_id: FMA's number of the artist.
        artist: Name of the artist, "" where unknown.
    """

    track_id: int
    split: Split
    genre_top: str
    title: str
    artist_id: int
    artist: str


def clip_path(root: Path, subset: Subset, track_id: int) -> Path:
    """Tell where FMA's archive of a subset puts the clip of a track.

    >>> clip_path(Path("data"), "small", 2).as_posix()
    'data/fma_small/000/000002.mp3'
    """
    name = f"{track_id:06d}"
    return root / f"fma_{subset}" / name[:3] / f"{name}.mp3"


def class_names(tracks: list[Track]) -> list[str]:
    """List the genres that the tracks have, sorted: position in this list is the label."""
    return sorted({track.genre_top for track in tracks})


def load_tracks(root: Path, subset: Subset = "small") -> list[Track]:
    """Read the tracks of a subset, in the order of their ids.

    Args:
        root: Folder that holds `fma_metadata/tracks.csv`.
        subset: "small" (8,000 tracks, 8 balanced genres) or "medium" (25,000 tracks, 16 genres; holds small).

    Raises:
        LitGenreError: A column is missing, or a row has an unknown split, no genre or a repeated id.
    """
    path = root / "fma_metadata" / "tracks.csv"
    table = _read_columns(path)
    names = get_args(Subset)
    table = table[table["subset"].isin(names[: names.index(subset) + 1])].sort_index()
    _check(table, path)
    rows: Any = table.itertuples()
    return [
        Track(int(row.Index), _SPLIT_OF_FMA[row.split], row.genre_top, row.title, int(row.artist_id), row.artist)
        for row in rows
    ]


def _read_columns(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = csv.reader(file)
            columns = list(zip(next(header, []), next(header, []), strict=False))
        missing = [".".join(column) for column in _COLUMNS if column not in columns]
        if missing:
            raise LitGenreError(
                f"{path} has no column {', '.join(missing)}: FMA's tracks.csv opens with three header lines "
                "(group, field, track_id). Fetch fma_metadata.zip again."
            )
        positions = {0: "track_id"} | {columns.index(column): name for column, name in _COLUMNS.items()}
        text = dict.fromkeys(("split", "subset", "genre_top", "title", "artist"), str)
        table = pd.read_csv(
            path,
            skiprows=3,
            header=None,
            usecols=list(positions),
            dtype={position: text.get(name, "int64") for position, name in positions.items()},
            keep_default_na=False,
        )
    except (ValueError, OSError) as error:
        raise LitGenreError(f"{path} cannot be read: {error}. Fetch fma_metadata.zip again.") from error
    return table.rename(columns=positions).set_index("track_id")


def _check(table: pd.DataFrame, path: Path) -> None:
    faults: dict[str, pd.Series[bool]] = {
        f"a split other than {', '.join(_SPLIT_OF_FMA)}": ~table["split"].isin(list(_SPLIT_OF_FMA)),
        "no genre_top": table["genre_top"] == "",
        "an id that another row has": pd.Series(table.index.duplicated(), table.index),
    }
    for fault, rows in faults.items():
        if rows.any():
            track_id = table.index[rows][0]
            raise LitGenreError(f"{path}: track {track_id} has {fault} ({int(rows.sum())} such rows).")
