"""Check whether the test accuracies of two models on the same tracks differ significantly."""

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from lit_genre.runs.reader import Run

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
    """

    first: str
    second: str
    points: float
    low: float
    high: float
    tracks: int

    @property
    def significant(self) -> bool:
        """True if the confidence interval excludes 0."""
        return self.low > 0 or self.high < 0


def differences(runs: list[Run]) -> list[Difference]:
    """Compare each pair of models by a paired bootstrap over the test tracks that all of their runs have.

    The accuracy of a model on a track is the mean over its seeds. The BCa interval describes the choice of the tracks;
    the variation between trainings is the standard deviation over seeds. Models of different data sets, with few
    common tracks, are not compared.

    Args:
        runs: The runs; those of one model are its seeds.

    Returns:
        The difference of each pair; models are in the order of their test accuracy, the best first.

    Reference:
        B. Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987.
    """
    accuracies = _track_accuracies(runs)
    order = accuracies.mean().sort_values(ascending=False, kind="stable").index
    pairs = [accuracies[list(pair)].dropna() for pair in combinations(order, 2)]
    return [_difference(pair) for pair in pairs if len(pair) >= _MIN_TRACKS]


def _track_accuracies(runs: list[Run]) -> pd.DataFrame:
    """Return the accuracy on each track, mean over seeds: a row for each track, a column for each model."""
    hits_by_model: dict[str, list[pd.Series]] = {}
    for run in runs:
        if not run.predictions.empty:
            hits = (run.predictions["genre"] == run.predictions["predicted"]).astype(float)
            # The same id with another genre is a track of another data set.
            hits.index = pd.MultiIndex.from_arrays([hits.index, run.predictions["genre"]])
            hits_by_model.setdefault(run.model, []).append(hits)
    # Without skipna: a track that one of the seeds did not test is not compared.
    means = {model: pd.concat(hits, axis=1).mean(axis=1, skipna=False) for model, hits in hits_by_model.items()}
    return pd.DataFrame(means)


def _difference(accuracies: pd.DataFrame) -> Difference:
    """Compare two columns."""
    from scipy.stats import bootstrap

    first, second = accuracies.mean().sort_values(ascending=False, kind="stable").index
    by_track = 100 * (accuracies[first] - accuracies[second]).to_numpy()
    points = float(by_track.mean())
    low = high = points
    # If the difference is the same on all tracks, a BCa interval is not defined.
    if np.ptp(by_track) > 0:
        # Batches of 256 resamples limit the memory; the fixed seed gives the same report again.
        interval = bootstrap((by_track,), np.mean, batch=256, rng=np.random.default_rng(0)).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Difference(first, second, points, low, high, len(by_track))
