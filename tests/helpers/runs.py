"""Small runs of the program, and what they leave."""

import csv
from collections.abc import Callable
from pathlib import Path

import torch

Run = Callable[..., None]

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
README = (ROOT / "README.md").read_text()
SMALL = (
    "--config", CONFIGS / "crnn.yaml", "--model.clip_seconds=1", "--model.backbone.filters=[8,8]",
    "--model.backbone.lstm_dim=8", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
)  # fmt: skip
"""Options of a fit that takes a moment."""

QUIET = "--trainer.logger=false"


def folder(root: Path = Path()) -> Path:
    (only,) = (root / "runs").iterdir()
    return only


def metrics(run_folder: Path) -> list[dict[str, str]]:
    with (run_folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def assert_same_weights(first: Path, second: Path) -> None:
    expected, found = weights(first), weights(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
