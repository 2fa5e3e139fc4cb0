"""Leaks: artists and albums that are in more than one split, so that the test accuracy is inflated.

Reference: A. Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

from collections import defaultdict
from typing import Final, Literal

import pandas as pd

from lit_genre.data.metadata.track import SPLITS, Track

SPARED_LAST: Final = {split: place for place, split in enumerate(SPLITS)}
"""Order in which splits give tracks up: training first, test last."""


def leaks(tracks: list[Track], by: Literal["artist_id", "album_id"]) -> pd.DataFrame:
    """List the tracks to drop so that no artist, or no album, is in two splits and the test split stays whole.

    They are the training tracks of what is in validation or test too, and the validation tracks of what is in test.
    An id below 0 is unknown, and nobody's. FMA's own splits keep artists apart, but not the albums that several share.

    Returns:
        A row a track, by `track_id`: the id that leaks, and the other splits that have it.
    """
    groups: defaultdict[int, list[Track]] = defaultdict(list)
    for track in tracks:
        groups[getattr(track, by)].append(track)
    rows = []
    for number in sorted(number for number in groups if number >= 0):
        splits = sorted({track.split for track in groups[number]}, key=SPARED_LAST.__getitem__)
        for track in sorted(groups[number], key=lambda track: SPARED_LAST[track.split]):
            if track.split != splits[-1]:
                rows.append((track.track_id, number, " ".join(split for split in splits if split != track.split)))
    return pd.DataFrame(rows, columns=["track_id", by, "also_in"]).set_index("track_id")
