"""Draw the plots of a test: confusion matrix, precision-recall curves, average precision and reliability diagram."""

from math import ceil
from pathlib import Path
from typing import Final

import torch
from torchmetrics.functional.classification import (
    multiclass_average_precision,
    multiclass_confusion_matrix,
    multiclass_precision_recall_curve,
)

from lit_genre.model.metrics import (
    BINS,
    TrackScores,
    average_precision_of,
    calibration_error,
    calibration_error_by_chance,
)
from lit_genre.plots.figure import COLOURS, DARK, MAX_INCHES, MAX_LINES, SEQUENTIAL, figure, label, line_style

_MAX_NUMBERED: Final = 40
"""Genres of a confusion matrix with numbers in its cells; with more, the cells are too small."""

_BARS: Final = COLOURS[5]
"""Colour of bars: black marks and lines are visible on it."""


def draw_confusion(scores: TrackScores, classes: list[str], title: str, path: Path) -> None:
    """Draw the confusion matrix, as share of the tracks of each genre (row), and as number if there are few genres.

    Args:
        scores: Scores of a multiclass test, on the CPU.
        classes: Class names in the order of the labels.
        title: Title of the plot.
        path: PNG file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.colors import PowerNorm

    counts = multiclass_confusion_matrix(scores.probs, scores.label, len(classes))
    # The minimum of 1 avoids a division by 0 for a genre without a track.
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    names, ticks = [label(name) for name in classes], range(len(classes))
    # Long names need room next to the matrix.
    margin = 2.5 + 0.1 * max(0, max(map(len, names)) - len("Experimental"))
    # Cells of 0.6 inches, smaller ones if the matrix would not fit.
    side = min(margin + 0.6 * len(classes), MAX_INCHES - 1)
    cell = 72 * (side - margin) / len(classes)
    step, size = _labels(cell)
    # A large picture is looked at as a whole, too.
    large = max(10.0, 0.7 * side)
    has_numbers = len(classes) <= _MAX_NUMBERED
    with figure(path, side + 1, side) as drawn:
        axes = drawn.subplots()
        axes.tick_params(labelsize=size)
        # Without numbers, the root makes errors of a few percent visible.
        picture = axes.imshow(shares.numpy(), cmap=SEQUENTIAL, norm=PowerNorm(1 if has_numbers else 0.5, 0, 1))
        # Slanted names of small cells would overlap.
        slant = {"rotation": 45, "rotation_mode": "anchor"} if cell > 2 * size else {"rotation": 90}
        axes.set_xticks(ticks[::step], names[::step], ha="right" if cell > 2 * size else "center", **slant)
        axes.set_yticks(ticks[::step], names[::step])
        axes.set_xlabel("predicted genre" + _thinned(step), size=large)
        axes.set_ylabel("true genre" + _thinned(step), size=large)
        axes.set_title(title, size=1.2 * large)
        # Zeros are left out: in a matrix of many genres they would hide the errors.
        for row, column in torch.nonzero(counts).tolist() if has_numbers else ():
            colour = "white" if shares[row, column] > DARK else "black"
            axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", color=colour, size=10)
        bar = drawn.colorbar(picture, shrink=0.8, aspect=40, fraction=0.05, pad=0.02)
        bar.set_label("share of the genre's tracks", size=large)
        bar.ax.tick_params(labelsize=large)


def _labels(room: float) -> tuple[int, float]:
    """Return the step between labelled ticks and the font size, points, of ticks with a distance of `room` points."""
    # Text under 6 points cannot be read.
    step = ceil(6 / (0.8 * room))
    return step, min(10.0, 0.8 * room * step)


def _thinned(step: int) -> str:
    return f" (one name in {step})" if step > 1 else ""


def precision_recall(scores: TrackScores, classes: list[str]) -> dict[str, tuple[list[float], list[float], float]]:
    """Compute precision-recall curves.

    Args:
        scores: Scores of a multiclass test, on the CPU.
        classes: Class names in the order of the labels.

    Returns:
        For each genre with a track, by its name: recall and precision of each threshold, two lists of the same length,
        0 to 1, and the average precision, 0 to 1.
    """
    precision, recall, _ = multiclass_precision_recall_curve(scores.probs, scores.label, len(classes))
    average = multiclass_average_precision(scores.probs, scores.label, len(classes), average="none")
    present = set(scores.label.tolist())
    return {
        name: (recall[index].tolist(), precision[index].tolist(), float(average[index]))
        for index, name in enumerate(classes)
        if index in present
    }


def draw_precision_recall(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Draw the precision-recall curve of each genre; of many genres, the ten best and the ten worst have names.

    Args:
        scores: Scores of a multiclass test, on the CPU.
        classes: Class names in the order of the labels.
        path: PNG file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    curves = precision_recall(scores, classes)
    named = _extreme_genres({name: average for name, (*_, average) in curves.items()})
    title = "precision over recall"
    if len(named) < len(curves):
        title += f"\nnamed: {len(named) // 2} best and {len(named) // 2} worst of {len(curves)} genres"
    with figure(path, 8, 5.5) as drawn:
        axes = drawn.subplots()
        for name, (recall, precision, _) in curves.items():
            if name not in named:
                axes.plot(recall, precision, color="0.8", linewidth=0.7)
        for index, name in enumerate(named):
            recall, precision, average = curves[name]
            axes.plot(recall, precision, **line_style(index), label=f"{label(name)}, average {average:.2f}")
        axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        drawn.legend(loc="outside right upper", frameon=False)


def _extreme_genres(average: dict[str, float]) -> list[str]:
    """Return the genres with a line of their own: all, in their order, or the best and the worst of many."""
    if len(average) <= MAX_LINES:
        return list(average)
    order = sorted(average, key=lambda name: -average[name])
    return [*order[: MAX_LINES // 2], *order[-MAX_LINES // 2 :]]


def draw_average_precision(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Draw the average precision of each genre of a multilabel test, the best at the top.

    Args:
        scores: Scores of a multilabel test, on the CPU.
        classes: Class names in the order of the labels.
        path: PNG file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    average = average_precision_of(scores)
    # The average precision of a random order: the share of the tracks with the genre.
    chance = scores.label.float().mean(0)
    order = [index for index in average.argsort().tolist() if not average[index].isnan()]
    names = [f"{label(classes[index])} ({int(scores.label[:, index].sum())})" for index in order]
    rows = range(len(order))  # Not names as positions: two shortened names may be equal.
    # At least 1, because a test can have no genre with a track.
    n_rows = max(1, len(order))
    height = min(1.5 + 0.2 * n_rows, MAX_INCHES)
    step, size = _labels(72 * (height - 1.5) / n_rows)
    with figure(path, 8, height) as drawn:
        axes = drawn.subplots()
        axes.tick_params(axis="y", labelsize=size)
        axes.barh(rows, average[order].numpy(), color=_BARS, label="average precision")
        axes.plot(chance[order].numpy(), rows, "|", color="black", markeredgewidth=2, label="chance")
        # From the top, where the best genre is.
        axes.set_yticks(rows[::-step], names[::-step])
        axes.set(xlim=(0, 1.02), ylim=(-0.7, len(order) - 0.3))
        axes.set(xlabel="average precision", ylabel="genre (tracks)" + _thinned(step))
        drawn.legend(loc="outside upper right", ncols=2, frameon=False)
        axes.grid(axis="x", alpha=0.3)


def draw_reliability(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Draw the reliability diagram: accuracy over probability, and the number of tracks in each bin.

    Args:
        scores: Scores of a multiclass test, on the CPU.
        classes: Class names in the order of the labels.
        path: PNG file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    confidence, predicted = scores.probs.max(1)
    right = (predicted == scores.label).float()
    # A probability of exactly 1 belongs to the last bin.
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    count = bins.bincount(minlength=BINS).numpy()
    accuracy = bins.bincount(right, minlength=BINS).numpy() / count.clip(min=1)
    centres = (torch.arange(BINS).numpy() + 0.5) / BINS
    filled = count > 0
    error, chance = calibration_error(scores, classes), calibration_error_by_chance(scores)
    title = (
        f"reliability: expected calibration error {error:.3f}\n"
        f"{chance:.3f} would be expected if all {len(right)} probabilities were correct"
    )
    with figure(path, 6, 7) as drawn:
        above, below = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.bar(centres[filled], accuracy[filled], width=0.9 / BINS, color=_BARS, label="observed accuracy")
        above.plot((0, 1), (0, 1), color="black", linestyle="--", label="accuracy equal to the probability")
        above.set(ylabel="accuracy", ylim=(0, 1.02), title=title)
        above.legend(frameon=False)
        below.bar(centres, count, width=0.9 / BINS, color="0.5")
        below.set(xlabel="probability of the predicted genre", ylabel="tracks", xlim=(0, 1))
