"""Estimate the standard error of a score that is no mean over tracks, by leaving out one artist at a time."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_genre.cluster_statistics import LEVEL, Interval

MIN_CLUSTERS: Final = 6
"""With fewer clusters, a sign test of the same data could not have a p-value below 0.05, so none is given."""


class JackknifeTest(NamedTuple):
    """Result of a jackknife over clusters.

    Attributes:
        value: The score of all tracks.
        interval: Its 95 % confidence interval.
        p: Two-sided p-value of the hypothesis that the score is 0.
    """

    value: float
    interval: Interval
    p: float


def jackknife(score: Callable[[NDArray[np.float64]], float], clusters: ArrayLike) -> JackknifeTest:
    """Estimate a score, its interval and its p-value.

    Interval and p-value are those of Student's t with one degree of freedom less than clusters.

    Args:
        score: Computes the score from the weight of each track, 0 or 1, shape (t,).
        clusters: Cluster of each track, such as its artist, shape (t,).

    Returns:
        The result. With fewer than `MIN_CLUSTERS` clusters, the p-value is 1; with one, the interval is infinite.

    Reference:
        B. Efron and C. Stein, "The Jackknife Estimate of Variance", Annals of Statistics 9(3), 1981.
    """
    from scipy.stats import t

    labels = np.asarray(clusters)
    names = np.unique(labels)
    value, n = score(np.ones(len(labels))), len(names)
    if n < 2:
        return JackknifeTest(value, Interval(-np.inf, np.inf), 1.0)
    without = np.array([score((labels != name).astype(float)) for name in names])
    error = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = 1.0 if n < MIN_CLUSTERS or error == 0 else float(2 * t.sf(abs(value) / error, n - 1))
    return JackknifeTest(value, Interval(value - half, value + half), p)
