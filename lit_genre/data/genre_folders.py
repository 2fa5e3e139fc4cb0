"""A folder of music with one folder in it for each genre, and what the tags of the files say of their artists."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import soundfile

from lit_genre.console import quiet_c_stderr
from lit_genre.data.music_files import SUFFIXES, find_songs, readable
from lit_genre.data.song_list import Song, place_in
from lit_genre.errors import LitGenreError

_READERS: Final = 16
"""Files whose tags are read at once: what takes time is the disk."""


def find_genres(root: Path) -> list[Song]:
    """List the songs in the folders of a folder; the name of each of these is the genre of all that is in it.

    Raises:
        LitGenreError: There is no such folder, or there are not two folders with audio in it.
    """
    if not root.is_dir():
        raise LitGenreError(f"There is no folder {root}. {_expected(root)}")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    songs = [
        Song(place_in(root, file), readable(folder.name), title=readable(file.stem))
        for folder in folders
        for file in _audio_in(folder)
    ]
    genres = sorted({song.genre for song in songs})
    if len(genres) < 2:
        found = f"Audio is in one folder only, {genres[0]}" if genres else "There is no audio in folders"
        raise LitGenreError(f"{found}, in {root}. {_expected(root)}")
    return songs


def songs_beside(root: Path) -> int:
    """Count the songs that lie in a folder itself, and so have no genre."""
    return sum(path.suffix.lower() in SUFFIXES and not path.name.startswith("._") for path in root.iterdir())


def read_tags(root: Path, songs: Sequence[Song]) -> list[Song]:
    """Fill in artists, and titles, from the files' own tags, as far as libsndfile reads them: not in m4a and wma."""
    with ThreadPoolExecutor(_READERS) as pool, quiet_c_stderr():
        tags = list(pool.map(_tags, [root / song.path for song in songs]))
    return [
        replace(song, artist=song.artist or tag.get("artist", ""), title=tag.get("title") or song.title)
        for song, tag in zip(songs, tags, strict=True)
    ]


def _audio_in(folder: Path) -> list[Path]:
    try:
        return find_songs([folder])
    except LitGenreError:
        return []  # Covers, texts: a folder without audio is no genre.


def _tags(path: Path) -> dict[str, str]:
    try:
        with soundfile.SoundFile(path) as file:
            return {name: readable(text.strip()) for name, text in file.copy_metadata().items()}
    except (soundfile.LibsndfileError, OSError):
        return {}  # Whether it can be decoded is found out later, and told with the reason.


def _expected(root: Path) -> str:
    examples = f"  {root / 'jazz' / 'song.mp3'}\n  {root / 'rock' / 'song.flac'}\n"
    return (
        f"Expected is one folder for each genre, such as\n{examples}"
        "Name the folder of these folders by --data.path, or a list of songs and their genres by --data.csv."
    )
