"""Intervals and tests over clusters: published values, exact values by hand, and error rates by simulation."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from lit_genre.cluster_statistics import (
    accuracy_interval,
    bootstrap_interval,
    corrected_resampled_test,
    difference_interval,
    holm,
    sign_flip_test,
)

Tracks = tuple[NDArray[np.float64], NDArray[np.int64]]

N_SIMULATED = 1_000
"""Simulated tests: the standard error of a rate of 5 % is 0.7 %."""


def draw(random: np.random.Generator, n_clusters: int, size: int, accuracy: float, correlation: float) -> Tracks:
    """Draw correctness of tracks whose artists have accuracies of their own (a beta distribution)."""
    shape = (1 - correlation) / correlation
    by_cluster = random.beta(accuracy * shape, (1 - accuracy) * shape, n_clusters)
    clusters = np.repeat(np.arange(n_clusters), random.integers(1, 2 * size, n_clusters))
    return (random.random(len(clusters)) < by_cluster[clusters]).astype(float), clusters


@pytest.mark.parametrize(("n_correct", "n"), [(80, 100), (0, 10), (10, 10), (33, 80)])
def test_without_clusters_it_is_wilsons_interval(n_correct: int, n: int) -> None:
    correct = [True] * n_correct + [False] * (n - n_correct)
    expected = binomtest(n_correct, n).proportion_ci(method="wilson")
    assert accuracy_interval(correct) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert accuracy_interval(correct, range(n)) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("n_correct", "n", "limits"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_the_interval_equals_published_values(n_correct: int, n: int, limits: tuple[float, float]) -> None:
    # R. G. Newcombe, "Two-Sided Confidence Intervals for the Single Proportion", Statistics in Medicine 17, 1998.
    assert accuracy_interval([1] * n_correct + [0] * (n - n_correct)) == pytest.approx(limits, abs=5e-5)


def test_two_equal_tracks_of_each_artist_count_as_one() -> None:
    correct = [1.0] * 30 + [0.0] * 10
    low, high = accuracy_interval(np.repeat(correct, 2), np.repeat(np.arange(40), 2))
    narrow = accuracy_interval(np.repeat(correct, 2))
    single = accuracy_interval(correct)
    # Slightly wider than that of 40 tracks, for the variance is estimated.
    assert low == pytest.approx(single.low, abs=0.01)
    assert high == pytest.approx(single.high, abs=0.01)
    assert high - low > 1.3 * (narrow.high - narrow.low)
    assert accuracy_interval([1, 1, 0], ["a", "a", "a"]) == (0, 1)


@pytest.mark.parametrize(("n_clusters", "size", "correlation"), [(17, 5, 0.4), (40, 3, 0.3), (300, 2, 0.2)])
@pytest.mark.parametrize("accuracy", [0.5, 0.8])
def test_the_interval_covers_the_accuracy(n_clusters: int, size: int, correlation: float, accuracy: float) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(N_SIMULATED):
        low, high = accuracy_interval(*draw(random, n_clusters, size, accuracy, correlation))
        covered += low <= accuracy <= high
    assert 0.93 <= covered / N_SIMULATED <= 0.97


@pytest.mark.parametrize(("n_clusters", "size", "share"), [(10, 4, 0.1), (17, 5, 0.3), (60, 1, 0.1)])
def test_equal_models_differ_significantly_in_at_most_5_percent(n_clusters: int, size: int, share: float) -> None:
    random = np.random.default_rng(0)
    n_significant = 0
    for _ in range(300):
        # Both models are the same process; they differ on a share of the artists.
        clusters = np.repeat(np.arange(n_clusters), size)
        differs = (random.random(n_clusters) < share) * random.choice([-1, 1], n_clusters)
        n_significant += sign_flip_test(differs[clusters] * (random.random(len(clusters)) < 0.8), clusters) < 0.05
    # 5 % and two standard errors of 300 simulations.
    assert n_significant / 300 <= 0.05 + 2 * 0.0126


def test_the_p_value_is_that_of_all_signs() -> None:
    differences, clusters = np.array([1.0, 1, 0, 1, -1, 1, 1]), np.array([0, 0, 1, 2, 3, 4, 5])
    sums = np.array([2.0, 1, -1, 1, 1])
    flipped = [abs(np.dot(signs, sums)) for signs in product((-1, 1), repeat=5)]
    expected = np.mean([value >= sums.sum() - 1e-9 for value in flipped])
    assert sign_flip_test(differences, clusters) == pytest.approx(expected)


def test_five_clusters_are_never_significant_and_six_may_be() -> None:
    assert sign_flip_test(np.ones(50), np.arange(50) % 5) > 0.05
    assert sign_flip_test(np.ones(50), np.arange(50) % 6) < 0.05
    assert sign_flip_test(np.zeros(50), np.arange(50)) == 1


def test_holm_controls_the_error_of_many_pairs() -> None:
    assert holm([]) == []
    assert holm([0.2, 0.01, 0.04]) == pytest.approx([0.2, 0.03, 0.08])
    random = np.random.default_rng(0)
    any_below = np.mean([min(holm(list(random.random(21)))) < 0.05 for _ in range(2_000)])
    assert any_below <= 0.06


def test_the_interval_of_a_difference_is_students() -> None:
    # One track a cluster: the interval of the mean of independent values.
    values = np.array([1.0, 0, 2, -1, 3])
    half = 2.776445 * values.std(ddof=1) / np.sqrt(5)
    assert difference_interval(values, range(5)) == pytest.approx((1 - half, 1 + half), abs=1e-4)
    assert difference_interval([1.0, 0.0], ["a", "a"]) == (-np.inf, np.inf)


def test_a_score_is_resampled_by_clusters() -> None:
    random = np.random.default_rng(1)
    values, clusters = draw(random, 60, 4, 0.7, 0.3)
    found = bootstrap_interval(lambda rows: float(values[rows].mean()), clusters)
    expected = accuracy_interval(values, clusters)
    assert found == pytest.approx(expected, abs=0.02)
    assert np.isnan(bootstrap_interval(lambda rows: np.nan, clusters, 10).low)


def test_overlapping_training_sets_widen_the_interval() -> None:
    differences = np.array([0.02, 0.04, 0.0, 0.03, 0.01])
    mean, interval, p = corrected_resampled_test(differences, test_share=0.2)
    error = differences.std(ddof=1) * np.sqrt(1 / 5 + 0.2 / 0.8)
    assert mean == pytest.approx(0.02)
    assert interval == pytest.approx((0.02 - 2.776445 * error, 0.02 + 2.776445 * error), abs=1e-5)
    assert 0.05 < p < 0.2
    assert corrected_resampled_test([0.0, 0.0], 0.5).p == 1
    assert corrected_resampled_test([0.5], 0.5).p == 1
