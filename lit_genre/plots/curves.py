"""Select the epoch of a run, and draw its learning curves."""

from pathlib import Path
from typing import Any, NamedTuple

from lit_genre.model.metrics import PRIMARY_METRIC
from lit_genre.plots.figure import figure, line_style
from lit_genre.text import shorten

Row = dict[str, float]
"""Metrics of an epoch by name, such as "val/accuracy"."""


class SelectedEpoch(NamedTuple):
    """The epoch of best.ckpt.

    Attributes:
        row: Its row of metrics.csv.
        by: Criterion by which it was selected, in words.
    """

    row: Row
    by: str


def select_epoch(rows: list[Row], monitor: str | None, mode: str) -> SelectedEpoch | None:
    """Return the epoch of a checkpoint.

    Args:
        rows: Rows of metrics.csv.
        monitor: Metric that the checkpoint monitors; None for the last epoch.
        mode: "max" or "min".

    Returns:
        The epoch; None if no row has the metric.
    """
    if monitor is None:
        return SelectedEpoch(rows[-1], "the last") if rows else None
    scored = [row for row in rows if monitor in row]
    if not scored:
        return None
    # Of equal epochs the first, as in Lightning's ModelCheckpoint, which keeps a checkpoint until a better one.
    best = (max if mode == "max" else min)(scored, key=lambda row: row[monitor])
    return SelectedEpoch(best, f"{'greatest' if mode == 'max' else 'least'} {in_words(monitor)}")


def draw_curves(rows: list[Row], path: Path, chosen: SelectedEpoch | None = None, augmented: bool = False) -> None:
    """Draw loss and primary metric of training and validation, and the gap between both.

    Args:
        rows: Rows of metrics.csv, one for each epoch.
        path: PNG file to write or to replace.
        chosen: The epoch to mark; None for no mark.
        augmented: Whether the training scores are of augmented clips, which makes the gap look small.

    Raises:
        OSError: The file cannot be written.
    """
    primary_metric = primary_metric_of(rows)
    gap = [gap_of(row) for row in rows]
    panels = ["loss", primary_metric] + ["gap"] * any(value is not None for value in gap)
    with figure(path, 5 * len(panels), 4) as drawn:
        handles: dict[str, Any] = {}
        for axes, quantity in zip(drawn.subplots(1, len(panels)), panels, strict=True):
            _draw_splits(axes, rows, quantity, augmented)
            if quantity == "gap":
                _draw_gap(axes, rows, gap)
            if quantity == primary_metric:
                axes.set_ylim(0, 1.02)
            title = f"gap: train minus val {in_words(primary_metric)}" if quantity == "gap" else in_words(quantity)
            axes.set(xlabel="epoch", title=title)
            _finish(axes, chosen)
            handles |= {text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        # One legend below all panels covers no line.
        if handles:
            drawn.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _draw_splits(axes: Any, rows: list[Row], quantity: str, augmented: bool) -> None:
    for index, split in ((0, "train"), (1, "val")):
        values = [row.get(f"{split}/{quantity}", float("nan")) for row in rows]
        # NaN is not equal to itself: a split without any value gets no line.
        if any(value == value for value in values):
            name = "train, on augmented clips" if split == "train" and augmented else split
            axes.plot(_epochs(rows), values, **_style(index, rows), label=name)


def _draw_gap(axes: Any, rows: list[Row], gap: list[float | None]) -> None:
    points = [float("nan") if value is None else 100 * value for value in gap]
    style = _style(2, rows)
    axes.plot(_epochs(rows), points, **style)
    axes.fill_between(_epochs(rows), 0, points, color=style["color"], alpha=0.15)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("percentage points")


def _finish(axes: Any, chosen: SelectedEpoch | None) -> None:
    from matplotlib.ticker import MaxNLocator

    if chosen is not None:
        number = int(chosen.row["epoch"]) + 1
        # Shortened: the metric may contain the name of a genre.
        text = f"chosen: epoch {number}, {shorten(chosen.by, 32)}"
        axes.axvline(number, color="grey", linestyle=":", label=text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _epochs(rows: list[Row]) -> list[float]:
    return [row["epoch"] + 1 for row in rows]


def _style(index: int, rows: list[Row]) -> dict[str, Any]:
    # With a marker at each epoch, a run of one epoch is visible. Over many epochs they would hide the line.
    return line_style(index) | ({"markevery": 1} if len(rows) < 40 else {})


def gap_of(row: Row) -> float | None:
    """Compute the generalisation gap of an epoch.

    Args:
        row: Row of metrics.csv.

    Returns:
        Primary metric of the training minus that of the validation, -1 to 1; None if one of them is missing.
    """
    primary_metric = primary_metric_of([row])
    train, val = row.get(f"train/{primary_metric}"), row.get(f"val/{primary_metric}")
    return None if train is None or val is None else train - val


def primary_metric_of(rows: list[Row]) -> str:
    """Return the name of the primary metric of a run.

    Args:
        rows: Rows of metrics.csv.

    Returns:
        The name without the split, such as "accuracy".
    """
    names = {name for row in rows for name in row}
    return next((name for name in PRIMARY_METRIC.values() if f"val/{name}" in names), "accuracy")


def in_words(name: str) -> str:
    """Return the name of a metric in words.

    Args:
        name: Name of the metric, such as "val/average_precision_macro".

    Returns:
        The name with spaces, such as "val average precision macro".
    """
    return name.replace("_", " ").replace("/", " ")
