"""Draw the scores of the models of a comparison: accuracy over training time, and reliability."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.compare.report.tables import models
from lit_genre.compare.scores.intervals import accuracy_intervals
from lit_genre.model.metrics import BINS
from lit_genre.plots.figure import figure, label, line_style
from lit_genre.runs.run import Run

_MIN_TRACKS: Final = 5
"""A bin with fewer tracks has no point in the reliability diagram: its accuracy is mostly chance."""


def draw_cost(runs: list[Run], path: Path) -> None:
    """Plot the test accuracy of each model, with its 95 % interval, over its training time.

    Args:
        runs: Runs on the same data.
        path: PNG to write.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    intervals = accuracy_intervals(runs)
    with figure(path, 9, 5.5) as drawn:
        axes = drawn.subplots()
        for number, name in enumerate(models(runs)):
            tested = [run for run in runs if run.model == name and run.test is not None]
            times = [(run.seconds or 0) + (run.feature_seconds or 0) for run in tested if run.seconds is not None]
            if not times:
                continue
            accuracy = 100 * float(np.mean([run.test for run in tested]))
            low, high = (100 * bound for bound in intervals[name])
            error = [[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]]
            # A log axis has no 0.
            seconds = max(0.1, float(np.mean(times)))
            style = {"color": line_style(number)["color"], "marker": "os^Dv"[number % 5]}
            axes.errorbar(seconds, accuracy, error, capsize=3, linestyle="none", label=label(name), **style)
        axes.set(xscale="log", xlabel="feature and training time of a run, s", ylabel="test accuracy, %",
                 title="accuracy with its 95 % interval, over the time")  # fmt: skip
        # Plain numbers: `figure` draws no mathematical text, which the default labels of a log axis are.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _finish(drawn, axes)


def draw_reliability(runs: list[Run], path: Path) -> None:
    """Plot the accuracy over the probability of the predicted genre: a line for each model, over all of its runs.

    Args:
        runs: Runs on the same data.
        path: PNG to write.
    """
    with figure(path, 9, 5.5) as drawn:
        axes = drawn.subplots()
        for number, name in enumerate(models(runs)):
            tables = [run.predictions for run in runs if run.model == name and not run.predictions.empty]
            if not tables:
                continue
            confidence, accuracy = _reliability(pd.concat(tables))
            axes.plot(confidence, accuracy, label=label(name), **line_style(number))
        axes.plot((0, 1), (0, 1), color="black", linewidth=0.8)
        axes.set(xlabel="probability of the predicted genre", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02),
                 title=f"reliability, in {BINS} bins; calibrated probabilities are on the diagonal")  # fmt: skip
        _finish(drawn, axes)


def _reliability(tested: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean probability and the accuracy of each bin with enough tracks."""
    right = (tested["genre"] == tested["predicted"]).to_numpy(float)
    confidence = tested["confidence"].to_numpy()
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    mean, accuracy = (np.bincount(bins, weights, BINS) / np.maximum(count, 1) for weights in (confidence, right))
    return mean[count >= _MIN_TRACKS], accuracy[count >= _MIN_TRACKS]


def _finish(drawn: Any, axes: Any) -> None:
    """Add the grid, and a legend if there is a line."""
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        drawn.legend(loc="outside right upper", frameon=False)
