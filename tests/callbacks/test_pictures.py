import math
from pathlib import Path

import pytest
import torch

from lit_genre.model.metrics import TrackScores, calibration_error_by_chance
from lit_genre.plots.scores import (
    calibration_error,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    precision_recall,
)

CLASSES = ["Folk", "Pop", "Rock"]
NO_ROCK = TrackScores(torch.arange(3), torch.eye(3)[[0, 0, 1]], torch.tensor([0, 1, 1]))


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
