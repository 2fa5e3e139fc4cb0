"""The demo's accuracy: the CRNN by the command of `make demo`, over seeds, and a linear classifier beside it.

    python benchmarks/demo.py [--root data/demo] [--seeds 0 1 2]

The linear one is a logistic regression on the mean log-mel spectrum of each track, which knows timbre and not rhythm.
The demo is synthetic: none of these figures says anything about FMA.
"""

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_genre.__main__ import main as lit_genre
from lit_genre.data.datamodule import FMADataModule
from lit_genre.model.frontend import LogMel

CONFIGS = Path(__file__).parents[1] / "configs"


def crnn_accuracy(root: Path, seed: int) -> tuple[float, float]:
    """Train and test as `make demo` does; test accuracy per track, and seconds of training."""
    data = ("--config", str(CONFIGS / "data" / "demo.yaml"), f"--data.root={root}", "--trainer.logger=false")
    with tempfile.TemporaryDirectory() as folder:
        run = f"--trainer.default_root_dir={folder}/run"
        began = time.perf_counter()
        lit_genre(["fit", "--config", str(CONFIGS / "crnn.yaml"), *data, run, f"--seed_everything={seed}"])
        seconds = time.perf_counter() - began
        lit_genre(["test", f"--ckpt_path={folder}/run/checkpoints/best.ckpt"])
        with (Path(folder) / "run" / "test.csv").open(newline="") as file:
            right = [row["genre"] == row["predicted"] for row in csv.DictReader(file)]
    return statistics.fmean(right), seconds


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
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path("data/demo"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    results = [crnn_accuracy(options.root, seed) for seed in options.seeds]
    linear = linear_accuracy(options.root)
    accuracies = [accuracy for accuracy, _ in results]
    for seed, (accuracy, seconds) in zip(options.seeds, results, strict=True):
        print(f"CRNN, seed {seed}: {accuracy:.1%} of test tracks, trained in {seconds:.0f} s")
    print(f"CRNN, mean: {statistics.fmean(accuracies):.1%}; linear on the mean spectrum: {linear:.1%}; chance: 12.5%")


if __name__ == "__main__":
    main()
