"""Test whether the accuracies of two models on the same test tracks differ significantly."""

from itertools import combinations
from typing import Final, NamedTuple

import pandas as pd

from lit_genre.cluster_statistics import (
    corrected_resampled_test,
    difference_interval,
    holm,
    sign_flip_test,
)
from lit_genre.runs.accuracy import artist_clusters
from lit_genre.runs.run import Run

LEVEL: Final = 0.05
"""Level of significance, for all pairs of a comparison together."""

_MIN_TRACKS: Final = 6
"""With fewer common tracks, even a difference on each of them is not significant: a sign test has p > 0.05."""


class Difference(NamedTuple):
    """Difference of the test accuracies of two models, on the same tracks.

    Attributes:
        first: Name of the better model.
        second: Name of the other model.
        points: Difference of their test accuracies, mean over seeds, percentage points.
        low: Lower end of its 95 % confidence interval, percentage points.
        high: Upper end, percentage points.
        tracks: Number of tracks.
        clusters: Number of artists; a track of an unknown artist counts as one.
        p: p-value of the permutation test, corrected for the number of pairs, 0 to 1.
        p_folds: p-value of the corrected resampled t-test over the folds of all repeats, corrected for the number of
            pairs; None unless a cross-validation was repeated.
    """

    first: str
    second: str
    points: float
    low: float
    high: float
    tracks: int
    clusters: int
    p: float
    p_folds: float | None = None

    @property
    def significant(self) -> bool:
        """True if the corrected p-values are below 0.05."""
        return self.p < LEVEL and (self.p_folds is None or self.p_folds < LEVEL)


def differences(runs: list[Run]) -> list[Difference]:
    """Compare each pair of models on the test tracks that all of their runs have.

    The accuracy of a model on a track is the mean over its seeds. The tracks of an artist are one cluster. The p-value
    is that of a sign-flip permutation test over clusters, with Holm's correction for the number of pairs; the interval
    has no correction. Both describe the choice of the artists. The variation between trainings is the standard
    deviation over seeds. Models with few common tracks are not compared.

    If a cross-validation was repeated with other folds, a second test has to agree: the t-test over the accuracies of
    the folds, corrected for the overlap of their training tracks (Nadeau and Bengio, 2003). It describes the choice of
    the training tracks, too.

    Args:
        runs: Runs on the same data; those of one model are its seeds.

    Returns:
        The difference of each pair; models are in the order of their test accuracy, the best first.
    """
    accuracies, artists = track_accuracies(runs)
    order = accuracies.mean().sort_values(ascending=False, kind="stable").index
    pairs = [accuracies[list(pair)].dropna() for pair in combinations(order, 2)]
    found = [_difference(pair, artists) for pair in pairs if len(pair) >= _MIN_TRACKS]
    corrected = holm([difference.p for difference in found])
    found = [difference._replace(p=p) for difference, p in zip(found, corrected, strict=True)]
    by_fold = _fold_accuracies(runs)
    over_folds = [_test_folds(by_fold, pair) for pair in found]
    if not found or any(p is None for p in over_folds):
        return found
    corrected = holm([p for p in over_folds if p is not None])
    return [difference._replace(p_folds=p) for difference, p in zip(found, corrected, strict=True)]


def _fold_accuracies(runs: list[Run]) -> dict[str, dict[tuple[int, int], float]]:
    """Return the accuracy of each model on each (repeat, fold), mean over its seeds; empty without a repeat."""
    tested: dict[str, dict[tuple[int, int], list[float]]] = {}
    for run in runs:
        for member in run.members:
            if member.test is not None and member.fold is not None:
                folds = tested.setdefault(run.model, {})
                folds.setdefault((member.repeat, member.fold), []).append(member.test)
    return {
        model: {fold: sum(values) / len(values) for fold, values in folds.items()}
        for model, folds in tested.items()
        if len({repeat for repeat, _ in folds}) > 1
    }


def _test_folds(by_fold: dict[str, dict[tuple[int, int], float]], pair: Difference) -> float | None:
    """Return the p-value of the corrected resampled t-test of two models; None if they have no common repeats."""
    first, second = (by_fold.get(name, {}) for name in (pair.first, pair.second))
    common = sorted(first.keys() & second.keys())
    if len({repeat for repeat, _ in common}) < 2:
        return None
    n_folds = len({fold for _, fold in common})
    return corrected_resampled_test([first[fold] - second[fold] for fold in common], 1 / n_folds).p


def track_accuracies(runs: list[Run]) -> tuple[pd.DataFrame, pd.Series]:
    """Return the accuracy of each model on each track, and the artist of each track.

    Args:
        runs: Runs on the same data; those of one model are its seeds.

    Returns:
        A table with a row for each track and a column for each model, 0 to 1, the mean over its seeds, NaN for a track
        that one of them did not test; and the id of the artist of each track.
    """
    hits_by_model: dict[str, list[pd.Series]] = {}
    artists: list[pd.Series] = [pd.Series(dtype="int64")]
    for run in runs:
        if not run.predictions.empty:
            hits = (run.predictions["genre"] == run.predictions["predicted"]).astype(float)
            # The same id with another genre is a track of another data set.
            hits.index = pd.MultiIndex.from_arrays([hits.index, run.predictions["genre"]])
            hits_by_model.setdefault(run.model, []).append(hits)
            artists.append(run.predictions["artist_id"].set_axis(hits.index))
    # Without skipna: a track that one of the seeds did not test is not compared.
    means = {model: pd.concat(hits, axis=1).mean(axis=1, skipna=False) for model, hits in hits_by_model.items()}
    joined = pd.concat(artists[1:] or artists)
    return pd.DataFrame(means), joined[~joined.index.duplicated()]


def _difference(accuracies: pd.DataFrame, artists: pd.Series) -> Difference:
    """Compare two columns; the p-value is not corrected."""
    first, second = accuracies.mean().sort_values(ascending=False, kind="stable").index
    by_track = 100 * (accuracies[first] - accuracies[second]).to_numpy()
    clusters = artist_clusters(artists.loc[accuracies.index].tolist())
    low, high = difference_interval(by_track, clusters)
    p = sign_flip_test(by_track, clusters)
    return Difference(first, second, float(by_track.mean()), low, high, len(by_track), len(set(clusters)), p)
