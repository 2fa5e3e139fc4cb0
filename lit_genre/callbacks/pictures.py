"""The pictures of a test: confusion of genres, precision over recall, and how far probabilities can be trusted."""

from pathlib import Path

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


def draw_confusion(scores: TrackScores, classes: list[str], title: str, path: Path) -> None:
    """Plot how often each genre (row) was taken for each (column), as share and number of its tracks."""
    from matplotlib.figure import Figure

    counts = multiclass_confusion_matrix(scores.probs, scores.label, len(classes))
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = 2.5 + 0.6 * len(classes)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, classes)
    axes.set(xlabel="predicted", ylabel="genre", title=title)
    for row, column in torch.nonzero(counts).tolist():
        dark = shares[row, column] > 0.5
        axes.text(
            column,
            row,
            str(int(counts[row, column])),
            ha="center",
            va="center",
            color="white" if dark else "black",
        )
    figure.colorbar(picture, label="share of the genre's tracks", shrink=0.8)
    figure.savefig(path, dpi=120)


def precision_recall(scores: TrackScores, classes: list[str]) -> dict[str, tuple[list[float], list[float], float]]:
    """Compute recall, precision and average precision for each genre that the tracks have."""
    precision, recall, _ = multiclass_precision_recall_curve(scores.probs, scores.label, len(classes))
    average = multiclass_average_precision(scores.probs, scores.label, len(classes), average="none")
    present = set(scores.label.tolist())
    return {
        name: (recall[place].tolist(), precision[place].tolist(), float(average[place]))
        for place, name in enumerate(classes)
        if place in present
    }


def draw_precision_recall(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Plot precision over recall for each genre."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    for place, (name, (recall, precision, average)) in enumerate(precision_recall(scores, classes).items()):
        axes.plot(recall, precision, color=colormaps["tab20"](place % 20), label=f"{name}, average {average:.2f}")
    axes.set(xlabel="recall", ylabel="precision", title="precision over recall", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)


def draw_average_precision(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Plot the average precision of each genre that the tracks have, where they may have several, best above."""
    from matplotlib.figure import Figure

    average = average_precision_of(scores)
    # What a guess would have: the share of the tracks that have the genre.
    chance = scores.label.float().mean(0)
    order = [place for place in average.argsort().tolist() if not average[place].isnan()]
    figure = Figure(figsize=(8, 1.5 + 0.2 * len(order)), layout="constrained")
    axes = figure.subplots()
    names = [f"{classes[place]} ({int(scores.label[:, place].sum())})" for place in order]
    axes.barh(names, average[order].numpy(), color="tab:blue", label="average precision")
    axes.plot(chance[order].numpy(), names, "|", color="tab:orange", label="chance")
    axes.set(xlim=(0, 1.02), ylim=(-0.7, len(order) - 0.3), xlabel="average precision", title="genre (tracks)")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)


def draw_reliability(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Plot the accuracy of predictions over the probability they were made with, and how many there are of each."""
    from matplotlib.figure import Figure

    confidence, predicted = scores.probs.max(1)
    right = (predicted == scores.label).float()
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    count = place.bincount(minlength=BINS).numpy()
    accuracy = place.bincount(right, minlength=BINS).numpy() / count.clip(min=1)
    centres = (torch.arange(BINS).numpy() + 0.5) / BINS
    figure = Figure(figsize=(6, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = count > 0
    above.bar(centres[filled], accuracy[filled], width=0.9 / BINS, color="tab:blue", label="found")
    above.plot((0, 1), (0, 1), color="grey", linestyle=":", label="what the probability promises")
    error, chance = calibration_error(scores, classes), calibration_error_by_chance(scores)
    title = (
        f"reliability: expected calibration error {error:.3f}\n{chance:.3f} if all {len(right)} probabilities were true"
    )
    above.set(ylabel="accuracy", ylim=(0, 1.02), title=title)
    above.legend(frameon=False)
    below.bar(centres, count, width=0.9 / BINS, color="tab:grey")
    below.set(xlabel="probability of the predicted genre", ylabel="tracks", xlim=(0, 1))
    figure.savefig(path, dpi=120)
