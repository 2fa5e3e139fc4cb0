"""Scan a folder of music with one folder for each genre, and read artists from the tags of the files."""

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
from lit_genre.data.metadata.manifest import MIN_GENRES, ManifestEntry, relative_path
from lit_genre.data.metadata.tags import Tags, read_tags
from lit_genre.errors import LitGenreError

NO_GENRE: Final = "not in a genre's folder"


class Untagged(NamedTuple):
    """Why the artists of songs are unknown.

    Attributes:
        n_without: Number of songs without an artist tag.
        n_unreadable: Number of songs that cannot be read.
        placeholder_names: Number of songs for each artist tag that names no artist, such as "Various Artists".
    """

    n_without: int
    n_unreadable: int
    placeholder_names: Counter[str]


def scan_genre_folders(root: Path) -> tuple[list[ManifestEntry], LeftOut]:
    """Find the songs in the folders of a folder; the name of each of these folders is the genre of its songs.

    Args:
        root: The folder with one folder for each genre.

    Returns:
        The songs, and the number of files that were left out, by reason.

    Raises:
        LitGenreError: There is no such folder, or fewer than two of its folders contain audio.
    """
    if not root.is_dir():
        raise LitGenreError(f"There is no folder {root}. {_expected(root)}")
    entries: list[ManifestEntry] = []
    left_out: LeftOut = Counter()
    # Sorted, because the order of a directory differs between file systems.
    for path in sorted(root.iterdir()):
        suffix, reason = path.suffix.lower(), reason_to_leave_out(path.name)
        if path.is_dir() and reason:
            count_audio(path, reason, left_out)
        elif path.is_dir():
            genre_scan = scan([path])
            genre = readable(path.name)
            entries += (
                ManifestEntry(relative_path(root, file), genre, title=readable(file.stem)) for file in genre_scan.files
            )
            left_out += genre_scan.left_out
        # Other files at this level, such as pictures and texts, need no message.
        elif suffix in SUFFIXES:
            left_out[reason or NO_GENRE, suffix] += 1
    genres = sorted({entry.genre for entry in entries})
    if len(genres) < MIN_GENRES:
        fault = f"Audio is in one folder only, {genres[0]}" if genres else "There is no audio in folders"
        others = "".join(f"{line}. " for line in describe_left_out(left_out))
        raise LitGenreError(f"{fault}, in {root}. {others}{_expected(root)}")
    return entries, left_out


def add_tags(root: Path, entries: Sequence[ManifestEntry]) -> tuple[list[ManifestEntry], Untagged]:
    """Add artists and titles from the tags of the files.

    Args:
        root: Folder that the paths of the songs are relative to.
        entries: The songs; artists that are given are kept.

    Returns:
        The songs, and why the artists of some are still unknown.
    """
    tags = read_tags([root / entry.path for entry in entries])
    tagged = [_tagged(entry, tag) for entry, tag in zip(entries, tags, strict=True)]
    unknown = [(entry, tag) for entry, tag in zip(tagged, tags, strict=True) if not entry.artist_keys]
    names = Counter(name for entry, tag in unknown if (name := entry.artist or entry.album_artist))
    # A list may give the artist of a file whose tags cannot be read.
    n_unreadable = sum(not tag.is_readable for entry, tag in unknown if not entry.artist)
    return tagged, Untagged(len(unknown) - names.total() - n_unreadable, n_unreadable, names)


def _tagged(entry: ManifestEntry, tags: Tags) -> ManifestEntry:
    def joined(texts: Iterable[str]) -> str:
        return "; ".join(map(readable, texts))

    title = readable(tags.title) or entry.title
    if entry.artist_keys:  # An artist in the user's list has precedence over the tags.
        return replace(entry, title=title)
    return replace(
        entry,
        artist=joined(tags.artists) or entry.artist,
        title=title,
        album_artist=entry.album_artist or joined(tags.album_artists),
        musicbrainz_artistid=entry.musicbrainz_artistid or joined(tags.artist_ids),
    )


def _expected(root: Path) -> str:
    examples = f"  {root / 'jazz' / 'song.mp3'}\n  {root / 'rock' / 'song.flac'}\n"
    return (
        f"Expected: one folder for each genre, such as\n{examples}"
        "Set --data.path to the folder of these folders, or --data.csv to a list of songs and their genres."
    )
