from pathlib import Path

from lit_genre.plots.curves import draw_curves


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
