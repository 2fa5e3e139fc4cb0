"""Find leaks: artists and albums that are in more than one split, so that the test accuracy is inflated.

Reference: A. Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

from collections import defaultdict
from typing import Final, Literal

import pandas as pd

from lit_genre.data.metadata.track import SPLITS, Track

EXCLUSION_ORDER: Final = {split: position for position, split in enumerate(SPLITS)}
"""Order in which tracks are excluded: first from training, last from test, which other results are compared with."""


def leaks(tracks: list[Track], by: Literal["artist_id", "album_id"]) -> pd.DataFrame:
    """Find the tracks to exclude so that no artist, or no album, is in two splits and the test split stays complete.

    These are the training tracks of artists (or albums) in validation or test, and the validation tracks of those in
    test. An id below 0 is unknown and ignored. FMA's own splits separate artists, but not albums by several artists.

    Args:
        tracks: All tracks.
        by: Whether to compare artists or albums.

    Returns:
        A row for each track to exclude, indexed by `track_id`: the id of the artist or album, and the other splits that
        have it.
    """
    groups: defaultdict[int, list[Track]] = defaultdict(list)
    for track in tracks:
        groups[getattr(track, by)].append(track)
    rows = []
    for group_id in sorted(group_id for group_id in groups if group_id >= 0):
        splits = sorted({track.split for track in groups[group_id]}, key=EXCLUSION_ORDER.__getitem__)
        for track in sorted(groups[group_id], key=lambda track: EXCLUSION_ORDER[track.split]):
            # The last split of a group, in the order of exclusion, keeps its tracks.
            if track.split != splits[-1]:
                rows.append((track.track_id, group_id, " ".join(split for split in splits if split != track.split)))
    return pd.DataFrame(rows, columns=["track_id", by, "also_in"]).set_index("track_id")
