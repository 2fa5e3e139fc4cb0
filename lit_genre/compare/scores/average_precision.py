"""Compute the mean average precision of multilabel predictions with weighted tracks, and compare two models by it."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.cluster_statistics import Interval, holm
from lit_genre.compare.scores.jackknife import JackknifeTest, jackknife
from lit_genre.compare.scores.significance import Difference
from lit_genre.runs.accuracy import artist_clusters
from lit_genre.runs.run import Run


class RankedGenre:
    """The tracks in the order of the probability of a genre, which is sorted once for many weights.

    Args:
        probs: Probability of the genre for each track, shape (t,).
        present: Whether each track has the genre, shape (t,).
    """

    def __init__(self, probs: NDArray[np.float64], present: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-probs, kind="stable")
        self._present = present[self._order].astype(float)
        # Tracks with the same probability have one rank: that of the last of them.
        ordered = probs[self._order]
        self._last = np.searchsorted(-ordered, -ordered, side="right") - 1

    def average_precision(self, weights: NDArray[np.float64]) -> float:
        """Return the average precision, 0 to 1; NaN if no track, or each track, has the genre.

        Args:
            weights: Weight of each track, at least 0, shape (t,).
        """
        ordered = weights[self._order]
        positive = ordered * self._present
        total = positive.sum()
        if total == 0 or total == ordered.sum():
            return np.nan
        precision = np.cumsum(positive)[self._last] / np.maximum(np.cumsum(ordered)[self._last], 1e-12)
        return float((positive * precision).sum() / total)


def precision_intervals(runs: list[Run]) -> dict[str, Interval]:
    """Return the 95 % interval of the mean average precision of each tested model, 0 to 1, by its name.

    Args:
        runs: Multilabel runs on the same tracks; those of one model are its seeds.
    """
    return {name: _test([(1.0, tested)]).interval for name, tested in _by_model(runs).items()}


def precision_differences(runs: list[Run]) -> list[Difference]:
    """Compare each pair of models by their mean average precision.

    The standard error is that of a jackknife over artists; the p-values have Holm's correction.

    Args:
        runs: Multilabel runs on the same tracks; those of one model are its seeds.

    Returns:
        The difference of each pair, in percentage points; the better model is the first.
    """
    models = _by_model(runs)
    found = []
    for pair in combinations(models, 2):
        test = _test([(1.0, models[pair[0]]), (-1.0, models[pair[1]])])
        names, points, low, high = pair, test.value, test.interval.low, test.interval.high
        if points < 0:
            names, points, low, high = (pair[1], pair[0]), -points, -high, -low
        table = models[pair[0]][0].predictions
        n_clusters = len(set(artist_clusters(table["artist_id"].tolist())))
        found.append(Difference(*names, 100 * points, 100 * low, 100 * high, len(table), n_clusters, test.p))
    corrected = holm([difference.p for difference in found])
    return [difference._replace(p=p) for difference, p in zip(found, corrected, strict=True)]


def genre_precisions(runs: list[Run]) -> pd.DataFrame:
    """Return the average precision of each genre (row) by each model (column), mean over its runs, 0 to 1 or NaN.

    Args:
        runs: Multilabel runs on the same tracks.
    """
    columns = {}
    for name, tested in _by_model(runs).items():
        ones = np.ones(len(tested[0].predictions))
        values = [[genre.average_precision(ones) for genre in _rank(run)] for run in tested]
        columns[name] = pd.Series(np.mean(values, axis=0), index=tested[0].label_names)
    return pd.DataFrame(columns)


def _by_model(runs: list[Run]) -> dict[str, list[Run]]:
    """Return the tested runs of each model on the tracks that all runs have, in the same order."""
    tested = [run for run in runs if not run.predictions.empty]
    common = tested[0].predictions.index
    for run in tested[1:]:
        common = common.intersection(run.predictions.index)
    models: dict[str, list[Run]] = {}
    for run in tested:
        rows = run.predictions.index.get_indexer(common)
        aligned = replace(run, predictions=run.predictions.loc[common], probs=run.probs[rows], labels=run.labels[rows])
        models.setdefault(run.model, []).append(aligned)
    return models


def _rank(run: Run) -> list[RankedGenre]:
    return [RankedGenre(run.probs[:, place], run.labels[:, place]) for place in range(len(run.label_names))]


def _test(parts: list[tuple[float, list[Run]]]) -> JackknifeTest:
    """Test the sum of the models' scores, each a mean over its runs, with a factor for each model."""
    ranked = [(factor / len(runs), [_rank(run) for run in runs]) for factor, runs in parts]
    clusters = artist_clusters(parts[0][1][0].predictions["artist_id"].tolist())

    def score(weights: NDArray[np.float64]) -> float:
        return sum(
            factor * float(np.nanmean([genre.average_precision(weights) for genre in genres]))
            for factor, of_runs in ranked
            for genres in of_runs
        )

    return jackknife(score, clusters)
