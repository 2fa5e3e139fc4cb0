"""Train the shipped configurations on the demo data set with several seeds, and a linear classifier.

    python benchmarks/demo.py [--root data/demo] [--seeds 0 1] [--configs configs/*.yaml] [OPTION OF FIT ...]

Each is trained by `lit-genre fit` on top of configs/data/demo.yaml (70 epochs, 4 s clips, batches of 16), and the
checkpoint of its best validation accuracy is tested. Any other option, such as --trainer.precision=bf16-mixed, goes to
both commands. The linear classifier is a logistic regression on the mean log-mel spectrum of each track, which has the
timbre but not the rhythm. The demo is synthetic, so these figures do not apply to FMA.
"""

import argparse
import csv
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_genre.__main__ import main as lit_genre
from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.spectrogram.frontend import LogMel

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted({*CONFIGS.glob("*.yaml")} - {*CONFIGS.glob("compare*.yaml")})


class Result(NamedTuple):
    """Result of a run: parameters of the backbone, median seconds of an epoch, accuracies per track."""

    name: str
    parameters: int
    epoch_seconds: float
    best_val: float
    test: float


def train_and_test(config: Path, root: Path, seed: int, more: list[str]) -> Result:
    """Run `lit-genre fit` and `lit-genre test`."""
    data = ("--config", str(CONFIGS / "data" / "demo.yaml"), f"--data.root={root}", "--trainer.logger=false")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        where = f"--trainer.default_root_dir={run}"
        lit_genre(["fit", "--config", str(config), *data, where, f"--seed_everything={seed}", *more])
        lit_genre(["test", f"--ckpt_path={run}/checkpoints/best.ckpt", *more])
        backbone = GenreClassifier.load_from_checkpoint(run / "checkpoints" / "best.ckpt", map_location="cpu").backbone
        with (run / "metrics.csv").open(newline="") as file:
            epochs = list(csv.DictReader(file))
        with (run / "test.csv").open(newline="") as file:
            right = [row["genre"] == row["predicted"] for row in csv.DictReader(file)]
    return Result(
        type(backbone).__name__,
        sum(parameter.numel() for parameter in backbone.parameters()),
        statistics.median(float(epoch["seconds"]) for epoch in epochs),
        max(float(epoch["val/accuracy"]) for epoch in epochs),
        statistics.fmean(right),
    )


def linear_accuracy(root: Path) -> float:
    """Fit the linear classifier on training and validation tracks, and test it."""
    data = FMADataModule(root, clip_seconds=10, seed=0)
    data.setup()
    frontend = LogMel(data.sample_rate)

    def features(*loaders: torch.utils.data.DataLoader) -> tuple[np.ndarray, np.ndarray]:
        batches = [batch for loader in loaders for batch in loader]
        spectra = torch.cat([frontend(batch.waveform.float() / 32768).mean(-1) for batch in batches])
        return spectra.numpy(), torch.cat([batch.label for batch in batches]).numpy()

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    classifier.fit(*features(data.train_dataloader(), data.val_dataloader()))
    return float(classifier.score(*features(data.test_dataloader())))


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path("data/demo"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--configs", type=Path, nargs="+", default=SHIPPED)
    options, more = parser.parse_known_args()
    table = [[train_and_test(config, options.root, seed, more) for seed in options.seeds] for config in options.configs]
    print("| | parameters | s/epoch | best val | test |\n|---|---|---|---|---|")
    for runs in table:
        epoch = statistics.median(run.epoch_seconds for run in runs)
        val, test = (
            f"{statistics.fmean(values):.1%} ({', '.join(f'{value:.1%}' for value in values)})"
            for values in ([run.best_val for run in runs], [run.test for run in runs])
        )
        print(f"| {runs[0].name} | {runs[0].parameters:,} | {epoch:.2f} | {val} | {test} |")
    print(f"| linear, on the mean spectrum | | | | {linear_accuracy(options.root):.1%} |\n| chance | | | | 12.5% |")


if __name__ == "__main__":
    main()
