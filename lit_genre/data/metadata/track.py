"""The record of a track, the same for all data sets."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Subset = Literal["small", "medium", "large", "full"]
"""Subsets of FMA, from 8,000 clips of 30 s to 106,574 whole tracks."""

Split = Literal["train", "val", "test"]

SPLITS: Final[tuple[Split, ...]] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a data set.

    Attributes:
        track_id: Id of the track; in FMA the number in the name of its file.
        split: "train", "val" or "test"; in FMA no artist is in two of them.
        genre_top: Title of the track's root genre, "" if it has more than one.
        genres: Titles of all its genres and their ancestors, sorted; () if unknown.
        title: Title of the track, "" if unknown.
        artist_id: Id of the artist, -1 if unknown.
        artist: Name of the artist, "" if unknown.
        album_id: Id of the album, -1 if unknown.
    """

    track_id: int
    split: Split
    genre_top: str
    genres: tuple[str, ...]
    title: str
    artist_id: int
    artist: str
    album_id: int
