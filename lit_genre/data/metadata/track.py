"""The record of a track, whatever data set it is of."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Split = Literal["train", "val", "test"]

SPLITS: Final[tuple[Split, ...]] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Track:
    """One item of a data set.

    Attributes:
        track_id: Its number, in FMA that which names its file.
        split: "train", "val" or "test"; in FMA no artist is in two of them.
        genre_top: Title of the track's root genre, "" where it has more than one.
        genres: Titles of all its genres and their ancestors, sorted; () where they are not known.
        title: Title of the track, "" where unknown.
        artist_id: Number of the artist, -1 where unknown.
        artist: Name of the artist, "" where unknown.
        album_id: Number of the album, -1 where unknown.
    """

    track_id: int
    split: Split
    genre_top: str
    genres: tuple[str, ...]
    title: str
    artist_id: int
    artist: str
    album_id: int
