from pathlib import Path

import torch

from lit_genre.callbacks.track_report import draw_confusion
from lit_genre.model.metrics import TrackScores


def test_confusion_is_drawn_though_a_genre_has_no_track(tmp_path: Path) -> None:
    scores = TrackScores(torch.arange(3), torch.eye(3)[[0, 0, 1]], torch.tensor([0, 1, 1]))
    draw_confusion(scores, ["Folk", "Pop", "Rock"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
