"""Measure the overhead of logging: an epoch of the demo with all callbacks and W&B offline, relative to one without.

    python benchmarks/overhead.py [--root data/demo] [--rounds 5] [--epochs 6]

A CRNN is trained and validated with the same data module, alternately with all that `lit-genre fit` has (W&B offline,
Telemetry, History, TrackReport, Dashboard, checkpoints) and without. The time is that from the end of an epoch to the
end of the next, so it includes validation, pictures and checkpoints. The target is at most 1.05.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from lit_genre.backbones.crnn import CRNN
from lit_genre.callbacks.checkpoint import RunCheckpoint
from lit_genre.callbacks.dashboard import Dashboard
from lit_genre.callbacks.history import History
from lit_genre.callbacks.telemetry import Telemetry
from lit_genre.callbacks.track_report import TrackReport
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.loggers.wandb import finish_wandb, wandb_logger
from lit_genre.model.classifier import GenreClassifier


class Clock(Callback):
    """Records the start of each epoch."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the time."""
        self.times.append(time.perf_counter())


def epochs(data: FMADataModule, folder: str, count: int, logged: bool) -> list[float]:
    """Train, and return the seconds of each epoch but the first."""
    clock = Clock()
    callbacks: list[Callback] = [clock]
    if logged:
        callbacks += [Telemetry(), History(), TrackReport(), Dashboard()]
        callbacks += [
            RunCheckpoint(filename="best", monitor="val/accuracy", mode="max"),
            RunCheckpoint(filename="last"),
        ]
    trainer = Trainer(
        max_epochs=count + 2,
        logger=wandb_logger(folder, mode="offline") if logged else False,
        enable_checkpointing=logged,
        default_root_dir=folder,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(GenreClassifier(CRNN, data.classes, clip_seconds=5), data)
    finish_wandb(failed=False)
    return [later - earlier for earlier, later in zip(clock.times[1:], clock.times[2:], strict=False)]


def main() -> None:
    """Print the seconds of an epoch of each, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path("data/demo"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    seed_everything(0)
    retain_freed_memory()
    data = FMADataModule(options.root, clip_seconds=5, batch_size=16)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for logged, found in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                found += epochs(data, folder, options.epochs, logged)
    off, on = (statistics.median(found) for found in seconds.values())
    print(f"without {off:.3f} s an epoch, with {on:.3f} s: ratio {on / off:.3f} (asked: 1.05)")


if __name__ == "__main__":
    main()
