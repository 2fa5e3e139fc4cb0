"""The pictures of a comparison: the curves of all runs, and how far training runs ahead of validation."""

from pathlib import Path
from typing import Any

from lit_genre.plots.figure import figure, label
from lit_genre.runs.reader import Run


def draw_curves(runs: list[Run], path: Path) -> None:
    """Plot accuracy and loss of training and validation over the epochs, a colour a model, a line a run."""
    with figure(path, 12, 8, dpi=110) as drawn:
        axes = drawn.subplots(2, 2, sharex=True, sharey="row")
        for row, quantity in enumerate(("accuracy", "loss")):
            for column, split in enumerate(("train", "val")):
                _draw(axes[row][column], runs, lambda run, key=f"{split}/{quantity}": run.history.get(key))
                axes[row][column].set(title=f"{split} {quantity}")
        axes[0][0].set_ylim(0, 1.02)
        axes[1][0].set_ylim(bottom=0)
        for below in axes[1]:
            below.set_xlabel("epoch")
        _legend(drawn, axes[0][0])


def draw_overfit(runs: list[Run], path: Path) -> None:
    """Plot training accuracy minus validation accuracy over the epochs."""

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

    colour_of = {
        model: colormaps["tab10"](place % 10) for place, model in enumerate(dict.fromkeys(r.model for r in runs))
    }
    named: set[str] = set()
    for run in runs:
        # Of one epoch, as of a baseline, there is no line to draw.
        if len(run.history) > 1 and (series := values(run)) is not None:
            # A model's name stands once in the legend.
            name = None if run.model in named else label(run.model)
            named.add(run.model)
            axes.plot(
                run.history["epoch"] + 1, series, color=colour_of[run.model], label=name, alpha=0.8, linewidth=1.3
            )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _legend(drawn: Any, axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
