"""Songs as a table, one a line: path, genre and, as far as they are known, split, artists and title."""

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

_NEEDED: Final = ("path", "genre")
_TEXTS: Final = ("artist", "title", "album_artist", "musicbrainz_artistid")
_OPTIONAL: Final = ("split", *_TEXTS)
_SPLIT_OF: Final[dict[str, Split]] = {split: split for split in SPLITS} | {
    "training": "train",
    "validation": "val",
    "valid": "val",
}


MIN_GENRES: Final = 2
"""Fewer cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Song:
    """A file and what is known of it.

    Attributes:
        path: Where it is in the folder of the data set, by /; from the root of the disk where it is elsewhere.
        genre: Name of its genre.
        split: "train", "val" or "test"; None where it is not decided.
        artist: Name of the artist, or of several, separated by a semicolon; "" where unknown.
        title: Its title, "" where unknown.
        album_artist: Name of the artist of its album, or of several; "" where unknown.
        musicbrainz_artistid: MusicBrainz ids of all of them, "" where unknown.
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
        """Keys of all artists of the song; songs that share one are of one artist."""
        return artist_keys(self.artist) | artist_keys(self.album_artist) | id_keys(self.musicbrainz_artistid)


def read_songs(path: Path, root: Path) -> list[Song]:
    """Read a list of songs.

    Args:
        path: CSV file with the columns path and genre and, if you like, split, artist, title, album_artist and
            musicbrainz_artistid, in any order; separated by comma, semicolon or tab. Other columns are ignored.
        root: Folder that the paths in it start from.

    Raises:
        LitGenreError: It is not there, is no such list, or a line has a fault; says which, with its value.
    """
    songs = read_list(path, root)
    genres = sorted({song.genre for song in songs})
    if len(genres) < MIN_GENRES:
        found = f"all songs are {genres[0]!r}" if genres else "there is no line below the header"
        raise LitGenreError(f"{path}: {found}. Two genres are the least that can be told apart.")
    return songs


def read_list(path: Path, root: Path | None) -> list[Song]:
    """Read a list of any songs; with root None they need not be there.

    Raises:
        LitGenreError: It is not there, is no such list, or a line has a fault; says which, with its value.
    """
    try:
        # Names of files may be of any bytes; what else is no UTF-8 is refused below.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            songs, lines = _read(path, file, root)
    except FileNotFoundError as error:
        raise LitGenreError(f"There is no list of songs {path}: correct its name, or leave it out.") from error
    except OSError as error:
        raise LitGenreError(f"The list of songs {path} cannot be read: {error.strerror}.") from error
    except csv.Error as error:
        raise LitGenreError(f"The list of songs {path} is no CSV: {error}.") from error
    _check_splits(path, songs, lines)
    return songs


def _read(path: Path, file: Iterable[str], root: Path | None) -> tuple[list[Song], list[int]]:
    lines = iter(file)
    header = next(lines, "")
    separator = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in next(csv.reader([header], delimiter=separator), [])]
    if missing := [name for name in _NEEDED if name not in names]:
        fault = (
            f"no column {' and none '.join(missing)} in the header '{readable(header.strip())}'. A list of songs has"
        )
        _refuse(path, 1, f"{fault} {' and '.join(_NEEDED)}, and may have {', '.join(_OPTIONAL)}")
    songs: list[Song] = []
    line_of: dict[str, int] = {}
    for line, fields in _fields(path, lines, separator):
        if not any(field.strip() for field in fields):
            continue
        song = _song(path, line, names, fields, root)
        if song.path in line_of:
            _refuse(path, line, f"{readable(song.path)} is in line {line_of[song.path]} too: keep one of them")
        line_of[song.path] = line
        songs.append(song)
    return songs, list(line_of.values())


def _fields(path: Path, lines: Iterator[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Tell the fields of each song, and the line that it ends in."""
    # Not strict, a quote that is never closed swallows the songs up to the next one.
    table = csv.reader(lines, delimiter=separator, strict=True)
    try:
        for fields in table:
            yield table.line_num + 1, fields
    except csv.Error as error:
        fault = f"{error}: a quote that opens a field, here or in a line above, is not closed at the field's end"
        _refuse(path, table.line_num + 1, fault)


def _song(path: Path, line: int, names: list[str], fields: list[str], root: Path | None) -> Song:
    if len(fields) > len(names):
        fault = f"{len(fields)} fields, but {len(names)} columns: put what contains the separator into quotes"
        _refuse(path, line, fault)
    row = dict(zip(names, [field.strip() for field in fields], strict=False))
    for name in _NEEDED:
        if not row.get(name):
            _refuse(path, line, f"the {name} is empty")
    for name in ("genre", *_OPTIONAL):
        if _is_bytes(row.get(name, "")):
            _refuse(path, line, f"the {name} '{readable(row[name])}' is no UTF-8 text: save the list as UTF-8")
    split = row.get("split", "")
    if split and split.lower() not in _SPLIT_OF:
        _refuse(path, line, f"there is no split {split!r}: use {', '.join(SPLITS)}")
    return Song(
        row["path"] if root is None else _place_of(path, line, row["path"], root),
        row["genre"],
        _SPLIT_OF.get(split.lower()),
        **{name: row.get(name, "") for name in _TEXTS},
    )


def _place_of(path: Path, line: int, named: str, root: Path) -> str:
    place = Path(named)
    file = root / (place.expanduser() if place.parts[:1] == ("~",) else place)
    if not file.is_file():
        fault = f"there is no file '{readable(named)}' in {root}; --data.path names the folder that paths start from"
        _refuse(path, line, fault)
    return place_in(root, file)


def _is_bytes(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)


def _check_splits(path: Path, songs: list[Song], lines: list[int]) -> None:
    """Refuse a list that says of some of its songs only in which split they are."""
    if any(song.split for song in songs):
        for song, line in zip(songs, lines, strict=True):
            if not song.split:
                _refuse(path, line, f"{readable(song.path)} has no split, but others have: fill it in, or none of them")


def _refuse(path: Path, line: int, fault: str) -> NoReturn:
    raise LitGenreError(f"{path}, line {line}: {fault}.")


def place_in(root: Path, file: Path) -> str:
    """Name a file by its place in a folder, or, where it is not in it, on the disk."""
    absolute = Path(os.path.abspath(file))
    root = Path(os.path.abspath(root))
    return (absolute.relative_to(root) if absolute.is_relative_to(root) else absolute).as_posix()
