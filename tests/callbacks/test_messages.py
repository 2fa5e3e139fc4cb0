"""The line of an epoch fits a terminal of 80 columns and counts from 1."""

import pytest

from lit_genre.callbacks.messages import format_epoch

SCORES = {"train/loss": 12.345678, "val/loss": 10.5, "lr": 0.000123, "seconds": 1234.56}


@pytest.mark.parametrize("metric", ["accuracy", "average_precision_macro"])
def test_the_line_of_an_epoch_is_short(metric: str) -> None:
    row = {"epoch": 99.0, f"train/{metric}": 1.0, f"val/{metric}": 0.5, **SCORES}
    line = format_epoch(row, 200)
    assert len(line) <= 80
    assert line.startswith("epoch 100/200  loss 12.346/10.500  ")
    assert "1.000/0.500" in line
    assert "val" not in format_epoch({"epoch": 0.0, "lr": 0.1, "seconds": 1.0}, None)
