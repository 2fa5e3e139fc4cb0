"""Intervals and tests for scores of tracks, in which the tracks of one artist are one cluster.

Tracks of one artist are alike, so that a network is right or wrong on most of them together. Intervals and tests that
take the tracks as independent are too narrow. Every function here takes the cluster of each track.

References:
    E. L. Korn and B. I. Graubard, "Confidence Intervals for Proportions with Small Expected Number of Positive Counts
    Estimated from Survey Data", Survey Methodology 24, 1998. Wilson's interval with their effective sample size is one
    of those that C. Franco, R. J. A. Little, T. A. Louis and E. V. Slud recommend in "Comparative Study of Confidence
    Intervals for Proportions in Complex Sample Surveys", Journal of Survey Statistics and Methodology 7, 2019.
    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
    C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL: Final = 0.95
"""Confidence level of all intervals."""

RESAMPLES: Final = 9_999
"""Random sign flips and bootstrap resamples: the Monte Carlo error of a p-value of 0.05 is then 0.002."""


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


def accuracy_interval(correct: ArrayLike, clusters: ArrayLike | None = None) -> Interval:
    """Compute a 95 % confidence interval of an accuracy.

    Wilson's interval with the effective number of tracks: the number of independent tracks that would leave the
    standard error that the clusters leave.

    Args:
        correct: Whether each track is predicted right, or the mean over several runs, 0 to 1, shape (t,).
        clusters: Cluster of each track, such as its artist, shape (t,); None if the tracks are independent.

    Returns:
        The interval, 0 to 1.

    Raises:
        ValueError: There is no track.
    """
    from scipy.stats import norm, t

    values = np.asarray(correct, dtype=float)
    n = len(values)
    if n == 0:
        raise ValueError("An interval needs at least one track.")
    accuracy = values.mean()
    quantile = norm.ppf((1 + LEVEL) / 2)
    if clusters is not None and (n_clusters := len(np.unique(np.asarray(clusters)))) < n:
        if n_clusters < 2:
            # One artist says nothing about another.
            return Interval(0.0, 1.0)
        variance = _mean_variance(values, np.asarray(clusters))
        independent = accuracy * (1 - accuracy) / n
        # If all tracks are right, or all wrong, the clusters have no variance: each then counts as one track.
        n = n * min(1.0, independent / variance) if variance > 0 else n_clusters
        quantile = t.ppf((1 + LEVEL) / 2, n_clusters - 1)
    centre = (accuracy + quantile**2 / (2 * n)) / (1 + quantile**2 / n)
    half = quantile * np.sqrt(accuracy * (1 - accuracy) / n + quantile**2 / (4 * n**2)) / (1 + quantile**2 / n)
    return Interval(max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def difference_interval(differences: ArrayLike, clusters: ArrayLike) -> Interval:
    """Compute a 95 % confidence interval of a mean difference of scores on the same tracks.

    The interval of Student's t with the cluster-robust standard error and one degree of freedom less than clusters.

    Args:
        differences: Difference of the scores of each track, shape (t,).
        clusters: Cluster of each track, shape (t,).

    Returns:
        The interval; infinite with fewer than two clusters.
    """
    from scipy.stats import t

    values, labels = np.asarray(differences, dtype=float), np.asarray(clusters)
    n_clusters = len(np.unique(labels))
    if n_clusters < 2:
        return Interval(-np.inf, np.inf)
    half = t.ppf((1 + LEVEL) / 2, n_clusters - 1) * np.sqrt(_mean_variance(values, labels))
    return Interval(float(values.mean() - half), float(values.mean() + half))


def sign_flip_test(differences: ArrayLike, clusters: ArrayLike) -> float:
    """Test whether two models are equally good: the two-sided p-value of a permutation test over clusters.

    If the models are equally good, the difference of a whole cluster is as likely to have the other sign. All signs are
    tried if there are at most 13 clusters with a difference, else `RESAMPLES` random ones. With fewer than six such
    clusters, no result is below 0.05.

    Args:
        differences: Difference of the scores of each track, shape (t,).
        clusters: Cluster of each track, shape (t,).

    Returns:
        The p-value, above 0 and at most 1.
    """
    from scipy.stats import permutation_test

    _, positions = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(positions, weights=np.asarray(differences, dtype=float))
    # A cluster without a difference is the same with either sign.
    sums = sums[np.abs(sums) > 1e-12]
    if len(sums) < 2:
        return 1.0
    result = permutation_test(
        (sums,),
        lambda flipped, axis: flipped.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
        batch=1_000,
    )
    return min(1.0, float(result.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for the number of tests, so that the chance of any false positive is at most the level.

    Args:
        p_values: The p-values.

    Returns:
        The corrected p-values, in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float], clusters: ArrayLike, n_resamples: int = 999
) -> Interval:
    """Compute a 95 % percentile interval of a score that is no mean over tracks, by resampling clusters.

    Args:
        statistic: Computes the score of the tracks at the given positions, which may repeat; NaN if it is not defined.
        clusters: Cluster of each track, shape (t,).
        n_resamples: Number of resamples.

    Returns:
        The interval; NaN if the score is not defined for any resample.
    """
    labels, positions = np.unique(np.asarray(clusters), return_inverse=True)
    members = np.split(np.argsort(positions, kind="stable"), np.cumsum(np.bincount(positions))[:-1])
    random = np.random.default_rng(0)
    values = []
    for _ in range(n_resamples):
        drawn = random.integers(len(labels), size=len(labels))
        values.append(statistic(np.concatenate([members[cluster] for cluster in drawn])))
    if np.isnan(values).all():
        return Interval(np.nan, np.nan)
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


class ResampledTest(NamedTuple):
    """Result of the corrected resampled t-test.

    Attributes:
        mean: Mean difference.
        interval: Its 95 % confidence interval.
        p: Two-sided p-value.
    """

    mean: float
    interval: Interval
    p: float


def corrected_resampled_test(differences: ArrayLike, test_share: float) -> ResampledTest:
    """Test the differences of two models over repeated folds, whose training sets overlap.

    The variance of the mean is the variance of the differences times 1 / J + test share / training share, instead of
    1 / J for J independent differences.

    Args:
        differences: Difference of the scores of each fold of each repeat, shape (j,).
        test_share: Part of the tracks that is tested in a fold, such as 0.2 for five folds.

    Returns:
        The result; its p-value is 1 with fewer than two differences, or if all are 0.

    Reference:
        Nadeau and Bengio (2003).
    """
    from scipy.stats import t

    values = np.asarray(differences, dtype=float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return ResampledTest(mean, Interval(-np.inf, np.inf), 1.0)
    error = float(np.sqrt(values.var(ddof=1) * (1 / n + test_share / (1 - test_share))))
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * error
    if error == 0:
        return ResampledTest(mean, Interval(mean, mean), 1.0 if mean == 0 else 0.0)
    return ResampledTest(mean, Interval(mean - half, mean + half), float(2 * t.sf(abs(mean) / error, n - 1)))


def _mean_variance(values: NDArray[np.float64], clusters: NDArray[np.generic]) -> float:
    """Return the variance of a mean over tracks, from the residuals of whole clusters (a ratio estimator)."""
    _, positions = np.unique(clusters, return_inverse=True)
    residuals = np.bincount(positions, weights=values - values.mean())
    n_clusters = len(residuals)
    return float(n_clusters / (n_clusters - 1) * (residuals**2).sum() / len(values) ** 2)
