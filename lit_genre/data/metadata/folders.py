"""A folder of music with one folder in it for each genre, and the artists in the tags of the files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from lit_genre.data.metadata.audio_files import (
    SUFFIXES,
    LeftOut,
    count_audio,
    describe_left_out,
    readable,
    reason_to_leave_out,
    scan,
)
from lit_genre.data.metadata.manifest import MIN_GENRES, Song, place_in
from lit_genre.data.metadata.tags import Tags, read_tags
from lit_genre.errors import LitGenreError

NO_GENRE: Final = "not in a genre's folder"


class Untagged(NamedTuple):
    """Why the artists of songs are not known.

    Attributes:
        n_without: Number of songs that have no tag of an artist.
        n_unreadable: Number of songs that cannot be read.
        names_of_nobody: What the others have in place of an artist, such as "Various Artists", and how many songs.
    """

    n_without: int
    n_unreadable: int
    names_of_nobody: Counter[str]


def find_genres(root: Path) -> tuple[list[Song], LeftOut]:
    """List the songs in the folders of a folder; the name of each of these is the genre of all that is in it.

    Returns:
        The songs, and how many files were left out, and why.

    Raises:
        LitGenreError: There is no such folder, or there are not two folders with audio in it.
    """
    if not root.is_dir():
        raise LitGenreError(f"There is no folder {root}. {_expected(root)}")
    songs: list[Song] = []
    left_out: LeftOut = Counter()
    for path in sorted(root.iterdir()):
        suffix, reason = path.suffix.lower(), reason_to_leave_out(path.name)
        if path.is_dir() and reason:
            count_audio(path, reason, left_out)
        elif path.is_dir():
            found = scan([path])
            genre = readable(path.name)
            songs += (Song(place_in(root, file), genre, title=readable(file.stem)) for file in found.files)
            left_out += found.left_out
        elif suffix in SUFFIXES:
            left_out[reason or NO_GENRE, suffix] += 1
    genres = sorted({song.genre for song in songs})
    if len(genres) < MIN_GENRES:
        found_genres = f"Audio is in one folder only, {genres[0]}" if genres else "There is no audio in folders"
        others = "".join(f"{line}. " for line in describe_left_out(left_out))
        raise LitGenreError(f"{found_genres}, in {root}. {others}{_expected(root)}")
    return songs, left_out


def add_tags(root: Path, songs: Sequence[Song]) -> tuple[list[Song], Untagged]:
    """Fill in artists and titles from the tags of the files.

    Returns:
        The songs, and why the artists of some are still not known.
    """
    tags = read_tags([root / song.path for song in songs])
    tagged = [_tagged(song, tag) for song, tag in zip(songs, tags, strict=True)]
    unknown = [(song, tag) for song, tag in zip(tagged, tags, strict=True) if not song.artist_keys]
    names = Counter(name for song, tag in unknown if (name := song.artist or song.album_artist))
    n_unreadable = sum(not tag.is_readable for song, tag in unknown if not song.artist)
    return tagged, Untagged(len(unknown) - names.total() - n_unreadable, n_unreadable, names)


def _tagged(song: Song, tags: Tags) -> Song:
    def joined(texts: Iterable[str]) -> str:
        return "; ".join(map(readable, texts))

    title = readable(tags.title) or song.title
    if song.artist_keys:  # What a list says counts more than tags.
        return replace(song, title=title)
    return replace(
        song,
        artist=joined(tags.artists) or song.artist,
        title=title,
        album_artist=song.album_artist or joined(tags.album_artists),
        musicbrainz_artistid=song.musicbrainz_artistid or joined(tags.artist_ids),
    )


def _expected(root: Path) -> str:
    examples = f"  {root / 'jazz' / 'song.mp3'}\n  {root / 'rock' / 'song.flac'}\n"
    return (
        f"Expected is one folder for each genre, such as\n{examples}"
        "Name the folder of these folders by --data.path, or a list of songs and their genres by --data.csv."
    )
