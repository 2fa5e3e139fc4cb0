"""Whether two models differ on the same test tracks by more than chance."""

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from lit_genre.runs.reader import Run

_LEAST: Final = 6
"""Tracks; of fewer, even a difference on each is no more than chance."""


class Difference(NamedTuple):
    """How much better one model does than another, over the same tracks.

    Attributes:
        first: The better one.
        second: The other.
        points: Difference of their test accuracies, percentage points, the mean over seeds.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tracks: Number of tracks.
    """

    first: str
    second: str
    points: float
    low: float
    high: float
    tracks: int

    @property
    def matters(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def differences(runs: list[Run]) -> list[Difference]:
    """Compare every two models by a bootstrap over the test tracks that all of their runs have.

    A track counts for a model as the share of its seeds that got it right. The interval is of the tracks, bias
    corrected and accelerated; how much another training would change is seen in the deviation over seeds. Models
    with hardly a track in common, of different data sets, are not compared.
    """
    right = _share_right(runs)
    order = right.mean().sort_values(ascending=False, kind="stable").index
    pairs = [right[list(pair)].dropna() for pair in combinations(order, 2)]
    return [_difference(pair) for pair in pairs if len(pair) >= _LEAST]


def _share_right(runs: list[Run]) -> pd.DataFrame:
    """Tabulate tracks by models: the share of seeds that got the track right."""
    columns: dict[str, list[pd.Series]] = {}
    for run in runs:
        if not run.predictions.empty:
            hits = (run.predictions["genre"] == run.predictions["predicted"]).astype(float)
            # A number with another genre is a track of another data set.
            hits.index = pd.MultiIndex.from_arrays([hits.index, run.predictions["genre"]])
            columns.setdefault(run.model, []).append(hits)
    shares = {model: pd.concat(hits, axis=1).mean(axis=1, skipna=False) for model, hits in columns.items()}
    return pd.DataFrame(shares)


def _difference(right: pd.DataFrame) -> Difference:
    """Compare two columns."""
    from scipy.stats import bootstrap

    first, second = right.mean().sort_values(ascending=False, kind="stable").index
    by_track = 100 * (right[first] - right[second]).to_numpy()
    points = float(by_track.mean())
    low = high = points
    if np.ptp(by_track) > 0:
        interval = bootstrap((by_track,), np.mean, batch=256, rng=np.random.default_rng(0)).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Difference(first, second, points, low, high, len(by_track))
