"""Assign tracks to the splits of a fold of a cross-validation, with all tracks of an artist in one split."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from lit_genre.data.metadata.track import Split, Track
from lit_genre.errors import LitGenreError, check_at_least

VAL_PARTS: Final = 8
"""One of this number of parts of the tracks that are not tested is for validation: 10 % of all with five folds."""


class Fold(NamedTuple):
    """A fold of a cross-validation.

    Attributes:
        number: Number of the fold, from 0.
        n_folds: Number of folds.
        seed: Seed of the folds; each repeat of a cross-validation has its own.
    """

    number: int
    n_folds: int
    seed: int

    @property
    def suffix(self) -> str:
        """Part of the names of caches, whose tracks differ between folds."""
        return f"-fold{self.number}of{self.n_folds}-{self.seed}"


def assign_fold(tracks: Sequence[Track], fold: Fold) -> list[Track]:
    """Replace the splits of tracks by those of a fold.

    Each track is in the test split of exactly one fold. The other tracks are divided into training and validation. The
    tracks of an artist are in one split, and each genre has about the same share in each fold. A track of an unknown
    artist is a group of its own. The result depends on the set of the tracks, not on their order.

    Args:
        tracks: All tracks, with any splits.
        fold: The fold.

    Returns:
        The tracks in the same order, with their splits in this fold.

    Raises:
        LitGenreError: There is no such fold, or a genre has fewer artists than there are folds.

    Reference:
        `sklearn.model_selection.StratifiedGroupKFold`.
    """
    # Imported here: scikit-learn takes a second, which a run without folds need not wait for.
    from sklearn.model_selection import StratifiedGroupKFold

    n_folds = fold.n_folds
    check_at_least(folds=(n_folds, 2), fold=(fold.number, 0), fold_seed=(fold.seed, 0))
    if fold.number >= n_folds:
        raise LitGenreError(f"There is no fold {fold.number} of {n_folds}. Set --data.fold to 0 to {n_folds - 1}.")
    ordered = sorted(tracks, key=lambda track: track.track_id)
    # A negative number for each track of an unknown artist.
    groups = np.array([-1 - n if track.artist_id < 0 else track.artist_id for n, track in enumerate(ordered)])
    genres = np.array([track.genre_top or track.genres[0] for track in ordered])
    _check_groups(genres, groups, n_folds)

    def parts(positions: "np.typing.NDArray[np.intp]", n_parts: int) -> list[tuple[np.ndarray, np.ndarray]]:
        splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=fold.seed)
        with warnings.catch_warnings():
            # A genre with fewer tracks than parts: some parts of the validation have none of it.
            warnings.filterwarnings("ignore", message="The least populated class")
            found = list(splitter.split(positions, genres[positions], groups[positions]))
        return [(positions[rest], positions[part]) for rest, part in found]

    rest, test = parts(np.arange(len(ordered)), n_folds)[fold.number]
    # Of a very small data set, fewer and larger parts.
    largest = Counter(genres[rest].tolist()).most_common(1)[0][1]
    train, val = parts(rest, max(2, min(VAL_PARTS, largest)))[0]
    splits: dict[int, Split] = {}
    for split, positions in (("train", train), ("val", val), ("test", test)):
        splits |= dict.fromkeys((ordered[position].track_id for position in positions), split)
    return [replace(track, split=splits[track.track_id]) for track in tracks]


def _check_groups(genres: "np.typing.NDArray[np.str_]", groups: "np.typing.NDArray[np.int64]", n_folds: int) -> None:
    groups_by_genre: dict[str, set[int]] = defaultdict(set)
    for genre, group in zip(genres.tolist(), groups.tolist(), strict=True):
        groups_by_genre[genre].add(group)
    genre = min(groups_by_genre, key=lambda name: len(groups_by_genre[name]))
    if (n_groups := len(groups_by_genre[genre])) < n_folds:
        raise LitGenreError(
            f"The genre {genre!r} has {n_groups} artists, too few for {n_folds} folds, each of which must test some of "
            f"them. Use at most {n_groups} folds, or leave the genre out."
        )
