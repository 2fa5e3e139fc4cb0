"""Test whether the accuracies of two models on the same test tracks differ significantly."""

from itertools import combinations
from typing import Final, NamedTuple

import pandas as pd

from lit_genre.cluster_statistics import difference_interval, holm, sign_flip_test
from lit_genre.runs.accuracy import artist_clusters
from lit_genre.runs.reader import Run

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
    """

    first: str
    second: str
    points: float
    low: float
    high: float
    tracks: int
    clusters: int
    p: float

    @property
    def significant(self) -> bool:
        """True if the corrected p-value is below 0.05."""
        return self.p < LEVEL


def differences(runs: list[Run]) -> list[Difference]:
    """Compare each pair of models on the test tracks that all of their runs have.

    The accuracy of a model on a track is the mean over its seeds. The tracks of an artist are one cluster. The p-value
    is that of a sign-flip permutation test over clusters, with Holm's correction for the number of pairs; the interval
    has no correction. Both describe the choice of the artists. The variation between trainings is the standard
    deviation over seeds. Models with few common tracks are not compared.

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
    return [difference._replace(p=p) for difference, p in zip(found, corrected, strict=True)]


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
