"""The pictures of a test: what they have on them, and whether they can be read with few and with many genres."""

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from lit_genre.model.metrics import TrackScores, calibration_error, calibration_error_by_chance
from lit_genre.plots.figure import DARK, MAX_LINES, MAX_PIXELS, SEQUENTIAL, line_style
from lit_genre.plots.scores import (
    draw_average_precision,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    precision_recall,
)

CLASSES = ["Folk", "Pop", "Rock"]
NO_ROCK = TrackScores(torch.arange(3), torch.eye(3)[[0, 0, 1]], torch.tensor([0, 1, 1]))


def generated_scores(n_classes: int) -> tuple[TrackScores, list[str]]:
    """Return scores of three tracks for each class, and the names of the classes."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(n_classes).repeat(3)
    logits = torch.randn(len(label), n_classes, generator=generator)
    # The higher the number of a class, the better its scores.
    logits[torch.arange(len(label)), label] += 9 * label / n_classes
    names = [f"genre {number:03}" for number in range(n_classes)]
    return TrackScores(torch.arange(len(label)), logits.softmax(1), label), names


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG file, pixels."""
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


def luminance(colour: Any) -> float:
    """Return the relative luminance of an RGB colour (WCAG 2.2), 0 to 1."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    return float(sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def test_lines_differ_without_their_colours() -> None:
    styles = [line_style(index) for index in range(140)]
    assert len({(style["linestyle"], style["marker"]) for style in styles[:MAX_LINES]}) == MAX_LINES
    assert len({(style["color"], style["linestyle"], style["marker"]) for style in styles}) == 140
    for first, second in pairwise(styles):
        assert all(first[key] != second[key] for key in ("color", "linestyle", "marker"))


def test_a_darker_cell_is_a_greater_share_and_its_number_has_contrast() -> None:
    values = [luminance(colormaps[SEQUENTIAL](step / 100)) for step in range(101)]
    assert values == sorted(values, reverse=True)
    # WCAG's contrast of text of this size is 4.5; at the change of colour, both have a little less.
    for step, value in enumerate(values):
        contrast = 1.05 / (value + 0.05) if step > 100 * DARK else (value + 0.05) / 0.05
        assert contrast > 4.2


@pytest.mark.parametrize("n_classes", [2, 8, 16, 161])
def test_a_confusion_matrix_can_be_read(n_classes: int, figures: list[Figure], tmp_path: Path) -> None:
    scores, names = generated_scores(n_classes)
    draw_confusion(scores, names, "test: accuracy 50 %", tmp_path / "confusion.png")
    assert max(size_of(tmp_path / "confusion.png")) <= MAX_PIXELS
    axes, bar = figures[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted genre", "true genre")
    assert (axes.get_title(), bar.get_ylabel()) == ("test: accuracy 50 %", "share of the genre's tracks")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == names
        assert all(float(tick.get_fontsize()) >= 6 for tick in ticks)
    # No two names overlap.
    boxes = [tick.get_window_extent() for tick in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))
    numbers = [int(text.get_text()) for text in axes.texts]
    assert sum(numbers) == (0 if n_classes > 40 else 3 * n_classes)


def test_names_are_thinned_where_they_have_no_room(figures: list[Figure], tmp_path: Path) -> None:
    scores, names = generated_scores(600)
    draw_confusion(scores, names, "test", tmp_path / "confusion.png")
    several = scores._replace(label=torch.eye(600, dtype=torch.long)[scores.label])
    draw_average_precision(several, names, tmp_path / "average_precision.png")
    for figure, path, text in zip(
        figures, sorted(tmp_path.iterdir(), reverse=True), ("true genre", "genre (tracks)"), strict=True
    ):
        assert max(size_of(path)) <= MAX_PIXELS
        labels = figure.axes[0].get_yticklabels()
        step = round(600 / len(labels))
        assert step > 1
        assert figure.axes[0].get_ylabel() == f"{text} (one name in {step})"
        assert all(float(tick.get_fontsize()) >= 6 for tick in labels)


@pytest.mark.parametrize("n_classes", [2, 8, 16, 161])
def test_precision_over_recall_names_each_line_or_says_which(
    n_classes: int, figures: list[Figure], tmp_path: Path
) -> None:
    scores, names = generated_scores(n_classes)
    draw_precision_recall(scores, names, tmp_path / "precision_recall.png")
    (figure,) = figures
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall", "precision")
    assert len(axes.lines) == n_classes
    named = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert len(legend.texts) == len(named) == min(n_classes, MAX_LINES)
    assert len({(line.get_linestyle(), line.get_marker()) for line in named}) == len(named)
    # The legend is whole.
    box = legend.get_window_extent()
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1 + 1
    if n_classes > MAX_LINES:
        assert "10 best and 10 worst of 161 genres" in axes.get_title()
        averages = [float(text.get_text().rpartition(" ")[2]) for text in legend.texts]
        assert min(averages[:10]) > max(averages[10:])


@pytest.mark.parametrize("n_classes", [2, 161])
def test_average_precision_has_a_bar_for_each_genre(n_classes: int, figures: list[Figure], tmp_path: Path) -> None:
    scores, names = generated_scores(n_classes)
    several = scores._replace(label=torch.eye(n_classes, dtype=torch.long)[scores.label])
    draw_average_precision(several, names, tmp_path / "average_precision.png")
    assert max(size_of(tmp_path / "average_precision.png")) <= MAX_PIXELS
    (axes,) = figures[0].axes
    assert len(axes.patches) == len(axes.get_yticklabels()) == n_classes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("average precision", "genre (tracks)")
    (legend,) = figures[0].legends
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1


def test_all_are_drawn_though_a_genre_has_no_track(tmp_path: Path) -> None:
    draw_confusion(NO_ROCK, CLASSES, "test", tmp_path / "confusion.png")
    draw_precision_recall(NO_ROCK, CLASSES, tmp_path / "precision_recall.png")
    draw_reliability(NO_ROCK, CLASSES, tmp_path / "reliability.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 3


def test_precision_over_recall_of_a_perfect_genre_and_of_none_that_is_absent() -> None:
    perfect = TrackScores(torch.arange(4), torch.eye(3)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1]))
    curves = precision_recall(perfect, CLASSES)
    assert curves.keys() == {"Folk", "Pop"}
    assert all(average == pytest.approx(1) for _, _, average in curves.values())


def test_the_calibration_error_is_the_distance_of_promise_and_accuracy() -> None:
    probs = torch.tensor([[0.8, 0.2, 0.0]]).repeat(10, 1)
    # Nine of ten are right, and 0.8 was promised.
    scores = TrackScores(torch.arange(10), probs, torch.tensor([0] * 9 + [1]))
    assert calibration_error(scores, CLASSES) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("tracks", [20, 2000])
def test_by_chance_few_tracks_leave_a_calibration_error(tracks: int) -> None:
    true = TrackScores(torch.arange(tracks), torch.tensor([[0.75, 0.25]]).repeat(tracks, 1), torch.zeros(tracks))
    # The mean distance of a share of n from its probability p, where n is large.
    expected = math.sqrt(2 * 0.75 * 0.25 / (math.pi * tracks))
    assert calibration_error_by_chance(true) == pytest.approx(expected, rel=0.15)
    certain = true._replace(probs=torch.tensor([[1.0, 0.0]]).repeat(tracks, 1))
    assert calibration_error_by_chance(certain) == 0
