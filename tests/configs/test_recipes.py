"""The shipped recipes, and how an epoch is selected."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_genre.plots.curves import select_epoch
from tests.helpers.runs import CONFIGS, QUIET, SMALL, Run, assert_same_weights, folder, metrics

RECIPES = CONFIGS / "recipes"


def printed(run: Run, capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        run("fit", *words, "--print_config")
    return dict(yaml.safe_load(capsys.readouterr().out))


def test_the_recipe_of_the_paper_is_the_default(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    by_default = printed(run, capsys, "--config", CONFIGS / "crnn.yaml")
    named = printed(run, capsys, "--config", CONFIGS / "crnn.yaml", "--config", RECIPES / "paper.yaml")
    assert named == by_default
    # Yaacob and Goldrich (2020): Adam, L2 of 0.001 (twice that in torch), 70 epochs, batches of 32, whole clips.
    model, data = named["model"], named["data"]["init_args"]
    optimizer = (model["optimizer"]["class_path"], model["optimizer"]["init_args"]["weight_decay"])
    assert optimizer == ("torch.optim.Adam", 0.002)
    assert (named["trainer"]["max_epochs"], data["batch_size"], model["clip_seconds"]) == (70, 32, None)


def fit(run: Run, fma: Path, *words: object) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=4", *words)


def test_select_by_last_selects_the_last_epoch(run: Run, fma: Path) -> None:
    fit(run, fma, "--select_by=last", "--trainer.max_epochs=3")
    assert_same_weights(folder() / "checkpoints" / "best.ckpt", folder() / "checkpoints" / "last.ckpt")
    summary = json.loads((folder() / "summary.json").read_text())
    assert (summary["epoch"], summary["chosen_by"]) == (2, "the last")


@pytest.mark.parametrize(("metric", "best"), [("val/loss", min), ("val/f1_macro", max)])
def test_a_metric_selects_its_best_epoch(run: Run, fma: Path, metric: str, best: Any) -> None:
    fit(run, fma, f"--select_by={metric}", "--trainer.max_epochs=4")
    values = [float(row[metric]) for row in metrics(folder())]
    saved = torch.load(folder() / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["epoch"] == values.index(best(values))
    assert json.loads((folder() / "summary.json").read_text())["epoch"] == saved["epoch"]


def test_the_first_of_equal_epochs_is_selected() -> None:
    rows = [{"epoch": float(epoch), "val/accuracy": value} for epoch, value in enumerate((0.2, 0.6, 0.6, 0.1))]
    selected = select_epoch(rows, "val/accuracy", "max")
    assert selected is not None
    assert selected.row["epoch"] == 1
    assert select_epoch(rows, "val/loss", "min") is None


def test_early_stopping_stops(run: Run, fma: Path) -> None:
    # At this learning rate nothing is learnt: the first epoch stays the best, and training stops 20 epochs later.
    fit(run, fma, "--config", RECIPES / "early_stopping.yaml", "--trainer.max_epochs=70", "--model.optimizer.lr=1e-12",
        "--trainer.limit_train_batches=1", "--model.backbone.dropout=0")  # fmt: skip
    assert len(metrics(folder())) < 70
    run("test", "--ckpt_path=best", QUIET)


def test_resuming_with_another_metric_selects_among_the_new_epochs(run: Run, fma: Path) -> None:
    fit(run, fma, "--trainer.max_epochs=2")
    run("fit", "--ckpt_path=last", "--trainer.max_epochs=4", "--select_by=val/loss")
    losses = [float(row["val/loss"]) for row in metrics(folder())][2:]
    saved = torch.load(folder() / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["epoch"] == 2 + losses.index(min(losses))


def test_the_gap_of_the_selected_epoch_is_printed(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(run, fma, "--trainer.max_epochs=2")
    (line,) = (text for text in "".join(capsys.readouterr()).splitlines() if text.startswith("Selected:"))
    summary = json.loads((folder() / "summary.json").read_text())
    row = metrics(folder())[summary["epoch"]]
    gap = 100 * (float(row["train/accuracy"]) - float(row["val/accuracy"]))
    assert line.endswith(f"gap {gap:.1f} points")
    assert "greatest val accuracy" in line


def test_the_modern_recipe_trains_on_excerpts_and_tests_whole_tracks(run: Run, fma: Path) -> None:
    fit(run, fma, "--config", RECIPES / "modern.yaml", "--trainer.max_epochs=2", "--data.cache_mel=true",
        "--model.clip_seconds=0.5")  # fmt: skip
    run("test", "--ckpt_path=best", QUIET)
    with (folder() / "test.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
