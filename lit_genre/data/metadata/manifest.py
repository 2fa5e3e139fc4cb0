"""Read the manifest of a data set, a CSV file: path, genre and, if known, split, artists and title of each file."""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from lit_genre.data.metadata.artists import artist_keys, id_keys
from lit_genre.data.metadata.audio_files import readable
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.errors import LitGenreError

_REQUIRED: Final = ("path", "genre")
_TEXTS: Final = ("artist", "title", "album_artist", "musicbrainz_artistid")
_OPTIONAL: Final = ("split", *_TEXTS)
_SPLITS_BY_NAME: Final[dict[str, Split]] = {split: split for split in SPLITS} | {
    "training": "train",
    "validation": "val",
    "valid": "val",
}
"""Names of the splits in a list; FMA and other data sets use the longer ones."""

MIN_GENRES: Final = 2
"""Least number of genres that a classifier can distinguish."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A line of a manifest: an audio file with its genre, before the data set is split.

    It is not a `Track`: a track has an id and a split, without which no other module could use it. `FolderDataModule`
    makes tracks of entries when both are known.

    Attributes:
        path: Path relative to the folder of the data set, with /; absolute if the file is not in that folder.
        genre: Name of its genre.
        split: "train", "val" or "test"; None if it is not split yet.
        artist: Name of the artist, or of several, separated by semicolons; "" if unknown.
        title: Title of the song, "" if unknown.
        album_artist: Name of the artist of its album, or of several; "" if unknown.
        musicbrainz_artistid: MusicBrainz ids of all these artists, "" if unknown.
    """

    path: str
    genre: str
    split: Split | None = None
    artist: str = ""
    title: str = ""
    album_artist: str = ""
    musicbrainz_artistid: str = ""

    @property
    def artist_keys(self) -> frozenset[str]:
        """Keys of all artists of the song; songs that share a key count as songs of one artist."""
        return artist_keys(self.artist) | artist_keys(self.album_artist) | id_keys(self.musicbrainz_artistid)


def read_manifest(path: Path, root: Path) -> list[ManifestEntry]:
    """Read a list of songs of at least two genres.

    Args:
        path: CSV file with the columns path and genre and optionally split, artist, title, album_artist and
            musicbrainz_artistid, in any order; separated by comma, semicolon or tab. Other columns are ignored.
        root: Folder that the paths in the list are relative to.

    Returns:
        The songs, in the order of the list.

    Raises:
        LitGenreError: The list does not exist, is not such a list, or has an error in a line.
    """
    entries = read_list(path, root)
    genres = sorted({entry.genre for entry in entries})
    if len(genres) < MIN_GENRES:
        fault = f"all songs are {genres[0]!r}" if genres else "there is no line below the header"
        raise LitGenreError(f"{path}: {fault}. A classifier needs at least {MIN_GENRES} genres.")
    return entries


def read_list(path: Path, root: Path | None) -> list[ManifestEntry]:
    """Read a list of songs of any number of genres.

    Args:
        path: CSV file, as for `read_manifest`.
        root: Folder that the paths in the list are relative to; None to keep the paths as they are, without a check
            whether the files exist.

    Returns:
        The songs, in the order of the list.

    Raises:
        LitGenreError: The list does not exist, is not such a list, or has an error in a line.
    """
    try:
        # Names of files may be any bytes. Other fields that are not UTF-8 are refused below.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            entries, lines = _read(path, file, root)
    except FileNotFoundError as error:
        raise LitGenreError(f"There is no list of songs {path}: correct its name, or leave it out.") from error
    except OSError as error:
        raise LitGenreError(f"The list of songs {path} cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise LitGenreError(f"The list of songs {path} is not a valid CSV file: {error}.") from error
    _check_splits(path, entries, lines)
    return entries


def _read(path: Path, file: Iterable[str], root: Path | None) -> tuple[list[ManifestEntry], list[int]]:
    lines = iter(file)
    header = next(lines, "")
    # Programs of some countries write CSV files with semicolons.
    separator = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=separator), [])]
    if missing := [name for name in _REQUIRED if name not in names]:
        fault = (
            f"no column {' and none '.join(missing)} in the header '{readable(header.strip())}'. A list of songs has"
        )
        _refuse(path, 1, f"{fault} {' and '.join(_REQUIRED)}, and may have {', '.join(_OPTIONAL)}")
    entries: list[ManifestEntry] = []
    lines_by_path: dict[str, int] = {}
    for line, fields in _fields(path, lines, separator):
        # Spreadsheets append empty rows.
        if not any(field.strip() for field in fields):
            continue
        entry = _entry(path, line, names, fields, root)
        if entry.path in lines_by_path:
            _refuse(path, line, f"{readable(entry.path)} is in line {lines_by_path[entry.path]} too: keep one of them")
        lines_by_path[entry.path] = line
        entries.append(entry)
    return entries, list(lines_by_path.values())


def _fields(path: Path, lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the last line and the fields of each song."""
    # Without strict, a quote that is never closed would join all songs up to the next quote.
    table = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for fields in table:
            yield table.line_num + 1, fields
    except csv.Error as error:
        fault = f"{error}: a quote that opens a field, here or in a line above, is not closed at the field's end"
        _refuse(path, table.line_num + 1, fault)


def _entry(path: Path, line: int, names: list[str], fields: list[str], root: Path | None) -> ManifestEntry:
    if len(fields) > len(names):
        fault = f"{len(fields)} fields, but {len(names)} columns: put fields that contain the separator into quotes"
        _refuse(path, line, fault)
    row = dict(zip(names, [field.strip() for field in fields], strict=False))
    for name in _REQUIRED:
        if not row.get(name):
            _refuse(path, line, f"the {name} is empty")
    for name in ("genre", *_OPTIONAL):
        if _is_bytes(row.get(name, "")):
            _refuse(path, line, f"the {name} '{readable(row[name])}' is not UTF-8 text: save the list as UTF-8")
    split = row.get("split", "")
    if split and split.lower() not in _SPLITS_BY_NAME:
        _refuse(path, line, f"there is no split {split!r}: use {', '.join(SPLITS)}")
    return ManifestEntry(
        row["path"] if root is None else _checked_path(path, line, row["path"], root),
        row["genre"],
        _SPLITS_BY_NAME.get(split.lower()),
        **{name: row.get(name, "") for name in _TEXTS},
    )


def _checked_path(path: Path, line: int, text: str, root: Path) -> str:
    # Only "~/" is a home folder; a folder may be called "~somebody".
    entry = Path(text).expanduser() if Path(text).parts[:1] == ("~",) else Path(text)
    file = root / entry
    if not file.is_file():
        fault = f"there is no file '{readable(text)}' in {root}; --data.path sets the folder that paths are relative to"
        _refuse(path, line, fault)
    return relative_path(root, file)


def _is_bytes(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def _check_splits(path: Path, entries: list[ManifestEntry], lines: list[int]) -> None:
    """Refuse a list in which only some of the songs have a split."""
    if any(entry.split for entry in entries):
        for entry, line in zip(entries, lines, strict=True):
            if not entry.split:
                _refuse(path, line, f"{readable(entry.path)} has no split, but others have: give all or none a split")


def _refuse(path: Path, line: int, fault: str) -> NoReturn:
    raise LitGenreError(f"{path}, line {line}: {fault}.")


def relative_path(root: Path, file: Path) -> str:
    """Return the path of a file relative to a folder.

    Args:
        root: The folder.
        file: The file.

    Returns:
        The path with / between folders; the absolute path if the file is not in the folder.
    """
    # Not Path.resolve: a symbolic link in the folder counts as a file in the folder.
    absolute = Path(os.path.abspath(file))
    root = Path(os.path.abspath(root))
    return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()
