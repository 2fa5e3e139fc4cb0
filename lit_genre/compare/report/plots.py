"""Draw the pictures of a comparison: the learning curves of all runs, and their overfitting."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.nn.functional import one_hot

from lit_genre.compare.report.tables import models
from lit_genre.model.metrics import PRIMARY_METRIC, TrackScores
from lit_genre.plots.figure import figure, label, line_style
from lit_genre.plots.scores import draw_confusion
from lit_genre.runs.run import Run


def draw_curves(runs: list[Run], path: Path) -> None:
    """Plot accuracy and loss of training and validation over the epochs: a line for each run.

    Args:
        runs: The runs; those of fewer than two epochs have no line.
        path: PNG to write.
    """
    with figure(path, 12, _height(8, runs)) as drawn:
        axes = drawn.subplots(2, 2, sharex=True, sharey="row")
        # A multilabel training computes no score, so that its first picture has no line.
        for row, quantity in enumerate((PRIMARY_METRIC[runs[0].task], "loss")):
            for column, split in enumerate(("train", "val")):
                _draw(axes[row][column], runs, lambda run, key=f"{split}/{quantity}": run.history.get(key))
                axes[row][column].set(title=f"{split} {quantity}".replace("_macro", "").replace("_", " "))
        # Slightly more than 1, so that a line at 1 is not cut.
        axes[0][0].set_ylim(0, 1.02)
        axes[1][0].set_ylim(bottom=0)
        for bottom in axes[1]:
            bottom.set_xlabel("epoch")
        _legend(drawn, axes[0][0])


def draw_overfit(runs: list[Run], path: Path) -> None:
    """Plot training accuracy minus validation accuracy, in percentage points, over the epochs.

    Args:
        runs: The runs; those of fewer than two epochs have no line.
        path: PNG to write.
    """

    def gap(run: Run) -> Any:
        if {"train/accuracy", "val/accuracy"} <= set(run.history):
            return 100 * (run.history["train/accuracy"] - run.history["val/accuracy"])
        return None

    with figure(path, 9, _height(5, runs)) as drawn:
        axes = drawn.subplots()
        _draw(axes, runs, gap)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(xlabel="epoch", ylabel="percentage points", title="overfitting: train minus val accuracy")
        _legend(drawn, axes)


def draw_confusions(runs: list[Run], folder: Path) -> dict[str, Path]:
    """Draw the confusion matrix of each model, summed over its runs.

    Args:
        runs: Runs on the same data.
        folder: Folder of the PNG files, which is created.

    Returns:
        The file of each model that was tested, by its name, in the order of their test accuracy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Path] = {}
    for name in models(runs):
        tables = [run.predictions for run in runs if run.model == name and not run.predictions.empty]
        if tables:
            tested = pd.concat(tables)
            classes = sorted({*tested["genre"], *tested["predicted"]})
            genre, predicted = (
                torch.tensor([classes.index(text) for text in tested[column]]) for column in ("genre", "predicted")
            )
            # The matrix needs the most probable genre alone.
            scores = TrackScores(torch.arange(len(tested)), one_hot(predicted, len(classes)).float(), genre)
            # A name may have characters that a file system refuses.
            path = folder / f"{len(pictures)}-{re.sub(r'[^A-Za-z0-9_+-]', '_', name)[:80]}.png"
            accuracy = float((genre == predicted).float().mean())
            n_runs = "1 run" if len(tables) == 1 else f"{len(tables)} runs"
            draw_confusion(scores, classes, f"{label(name)}: accuracy {accuracy:.1%}, {n_runs}", path)
            pictures[name] = path
    return pictures


def _height(least: float, runs: list[Run]) -> float:
    """Return the height of a picture with a line of the legend for each model, inches."""
    return max(least, 0.5 + 0.22 * len({run.model for run in runs}))


def _draw(axes: Any, runs: list[Run], values: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    model_names = dict.fromkeys(run.model for run in runs)
    styles = {model: line_style(number) for number, model in enumerate(model_names)}
    in_legend: set[str] = set()
    for run in runs:
        # A baseline has one epoch, which makes no line.
        if len(run.history) > 1 and (series := values(run)) is not None:
            # The legend has each model once, not each of its seeds.
            name = None if run.model in in_legend else label(run.model)
            in_legend.add(run.model)
            axes.plot(run.history["epoch"] + 1, series, **styles[run.model], label=name, alpha=0.8, linewidth=1.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _legend(drawn: Any, axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
