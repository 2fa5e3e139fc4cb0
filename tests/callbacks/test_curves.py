"""The learning curves of a run."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lit_genre.plots.curves import draw_curves, select_epoch


@pytest.mark.parametrize("n_epochs", [1, 3, 60])
def test_the_curves_of_both_splits_differ_without_colour(n_epochs: int, figures: list[Figure], tmp_path: Path) -> None:
    rows = [
        {"epoch": k, "train/loss": 2 - k, "val/loss": 2.0, "train/accuracy": k / 60, "val/accuracy": 0.01 * k}
        for k in range(n_epochs)
    ]
    draw_curves(rows, tmp_path / "curves.png", select_epoch(rows, "val/accuracy", "max"))
    (figure,) = figures
    loss, accuracy, gap = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "gap: train minus val accuracy"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch"] * 3
    assert gap.get_ylabel() == "percentage points"
    for axes in (loss, accuracy):
        train, val, _ = axes.lines
        assert (train.get_linestyle(), train.get_marker()) != (val.get_linestyle(), val.get_marker())
        assert np.asarray(train.get_xdata()).tolist() == list(range(1, n_epochs + 1))
        # Each epoch of a short run has a marker; otherwise a run of one epoch would be invisible.
        assert (train.get_markevery() == 1) == (n_epochs < 40)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.texts]
    assert names == ["train", "val", f"chosen: epoch {n_epochs}, greatest val accuracy"]
    # It covers no line.
    assert all(legend.get_window_extent().y1 <= axes.get_window_extent().y0 for axes in figure.axes)


def test_curves_are_a_picture_of_both_splits(tmp_path: Path) -> None:
    rows = [
        {"epoch": k, "train/loss": 2 - k, "val/loss": 2.0, "train/accuracy": k / 3, "val/accuracy": 0.1 * k}
        for k in range(3)
    ]
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_without_validation(tmp_path: Path) -> None:
    draw_curves([{"epoch": 0, "train/loss": 2.0, "train/accuracy": 0.5}], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
