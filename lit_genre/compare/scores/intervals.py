"""Confidence intervals of the scores of each model of a comparison."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.cluster_statistics import Interval, accuracy_interval, bootstrap_interval
from lit_genre.compare.scores.significance import track_accuracies
from lit_genre.runs.accuracy import artist_clusters
from lit_genre.runs.run import Run


def interval_rows(runs: list[Run], names: list[str]) -> dict[str, list[str]]:
    """Return the 95 % intervals of accuracy and F1 of each model, percent, for a table.

    The artists are the clusters, as in `lit_genre.compare.scores.significance`. The score of a model is the mean over
    its seeds, on the tracks that all of them tested.

    Args:
        runs: Runs on the same data.
        names: Names of the models, in the order of the columns.

    Returns:
        "accuracy" and "f1": a cell for each model, "" for a model without a test.
    """
    accuracies = accuracy_intervals(runs)
    cells: dict[str, list[str]] = {"accuracy": [], "f1": []}
    for name in names:
        tables = [run.predictions for run in runs if run.model == name and not run.predictions.empty]
        cells["accuracy"].append(_percent(accuracies[name]) if tables else "")
        cells["f1"].append(_percent(_f1_interval(tables)) if tables else "")
    return cells


def accuracy_intervals(runs: list[Run]) -> dict[str, Interval]:
    """Return the 95 % interval of the accuracy of each model that was tested, 0 to 1, by its name.

    Args:
        runs: Runs on the same data.
    """
    accuracies, artists = track_accuracies(runs)
    intervals = {}
    for name in accuracies:
        by_track = accuracies[name].dropna()
        clusters = artist_clusters(artists.loc[by_track.index].tolist())
        intervals[str(name)] = accuracy_interval(by_track.to_numpy(), clusters)
    return intervals


def _f1_interval(tables: list[pd.DataFrame]) -> Interval:
    """Return the interval of the mean over runs of the macro F1, by a bootstrap over artists."""
    common = tables[0].index
    for table in tables[1:]:
        common = common.intersection(table.index)
    tables = [table.loc[common] for table in tables]
    genres = sorted(set().union(*(set(table["genre"]) | set(table["predicted"]) for table in tables)))
    numbers = {genre: number for number, genre in enumerate(genres)}
    pairs = [
        len(genres) * table["genre"].map(numbers).to_numpy() + table["predicted"].map(numbers).to_numpy()
        for table in tables
    ]

    def mean_f1(positions: NDArray[np.intp]) -> float:
        return float(np.mean([_macro_f1(pair[positions], len(genres)) for pair in pairs]))

    return bootstrap_interval(mean_f1, artist_clusters(tables[0]["artist_id"].tolist()))


def _macro_f1(pairs: NDArray[np.int64], n_genres: int) -> float:
    """Return the mean F1 of the genres that have a track, from pairs genre * n_genres + prediction.

    scikit-learn's f1_score takes a hundred times as long, which the bootstrap would multiply by a thousand.
    """
    confusion = np.bincount(pairs, minlength=n_genres**2).reshape(n_genres, n_genres)
    tracks = confusion.sum(1)
    f1 = 2 * confusion.diagonal() / np.maximum(tracks + confusion.sum(0), 1)
    return float(f1[tracks > 0].mean())


def _percent(interval: Interval) -> str:
    return "" if np.isnan(interval.low) else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
