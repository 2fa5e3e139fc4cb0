"""Draw the pictures of a comparison: the learning curves of all runs, and their overfitting."""

from pathlib import Path
from typing import Any

from lit_genre.plots.figure import figure, label
from lit_genre.runs.reader import Run


def draw_curves(runs: list[Run], path: Path) -> None:
    """Plot accuracy and loss of training and validation over the epochs: a colour for each model, a line for each run.

    Args:
        runs: The runs; those of fewer than two epochs have no line.
        path: PNG to write.
    """
    with figure(path, 12, 8, dpi=110) as drawn:
        axes = drawn.subplots(2, 2, sharex=True, sharey="row")
        for row, quantity in enumerate(("accuracy", "loss")):
            for column, split in enumerate(("train", "val")):
                _draw(axes[row][column], runs, lambda run, key=f"{split}/{quantity}": run.history.get(key))
                axes[row][column].set(title=f"{split} {quantity}")
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

    with figure(path, 9, 5, dpi=110) as drawn:
        axes = drawn.subplots()
        _draw(axes, runs, gap)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(xlabel="epoch", ylabel="percentage points", title="overfitting: train minus val accuracy")
        _legend(drawn, axes)


def _draw(axes: Any, runs: list[Run], values: Any) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    model_names = dict.fromkeys(run.model for run in runs)
    colours = {model: colormaps["tab10"](number % 10) for number, model in enumerate(model_names)}
    in_legend: set[str] = set()
    for run in runs:
        # A baseline has one epoch, which makes no line.
        if len(run.history) > 1 and (series := values(run)) is not None:
            # The legend has each model once, not each of its seeds.
            name = None if run.model in in_legend else label(run.model)
            in_legend.add(run.model)
            axes.plot(run.history["epoch"] + 1, series, color=colours[run.model], label=name, alpha=0.8, linewidth=1.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _legend(drawn: Any, axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
