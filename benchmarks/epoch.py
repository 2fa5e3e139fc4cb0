"""Measure the overhead of the framework: an epoch with data module and Trainer, relative to a bare loop.

    python benchmarks/epoch.py [--root data/demo] [--clip_seconds 10] [--rounds 5]

Both run the same forward, backward and step on batches of 32 clips of the training split. The framework also reads
the clips from the store, logs, and writes history and checkpoints, as `lit-genre fit` does. The target is at most 1.10.
Lightning alone shows how much of this is due to its Trainer: a module with nothing but the loss, which logs two values
a step, on batches in memory, without checkpoints.
The waiting time is that between the request for a batch and its arrival, by Lightning's profiler.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.profilers import SimpleProfiler
from torch.utils.data import DataLoader

from lit_genre.backbones.crnn import CRNN
from lit_genre.batch import Batch
from lit_genre.callbacks.history import History
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.model.classifier import GenreClassifier


class EpochClock(Callback):
    """Measures the time of each training epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        self.seconds.append(time.perf_counter() - self._began)


def bare_epochs(model: GenreClassifier, batches: list[Batch], rounds: int) -> list[float]:
    """Run forward, backward and step on batches that are on the device already."""
    optimizer, seconds = torch.optim.Adam(model.parameters(), weight_decay=2e-3), []
    model.train()
    for _ in range(rounds):
        began = time.perf_counter()
        for batch in batches:
            loss = torch.nn.functional.cross_entropy(model(batch.waveform), batch.label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


class Plain(LightningModule):
    """What a bare loop does, as a LightningModule."""

    def __init__(self, model: GenreClassifier) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss, and log two values."""
        loss = torch.nn.functional.cross_entropy(self.model(batch.waveform), batch.label)
        values = {"loss": loss, "again": loss.detach()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch.label))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of the bare loop."""
        return torch.optim.Adam(self.model.parameters(), weight_decay=2e-3)


def main() -> None:
    """Print the seconds of an epoch of each, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path("data/demo"))
    parser.add_argument("--clip_seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seed_everything(0)
    if not torch.accelerator.is_available():
        retain_freed_memory()  # As the command line does.
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    data = FMADataModule(options.root, clip_seconds=options.clip_seconds, batch_size=32)
    data.setup()
    batches = [Batch(*(part.to(device) for part in batch[:3])) for batch in data.train_dataloader()]

    def model() -> GenreClassifier:
        return GenreClassifier(CRNN, data.classes, clip_seconds=options.clip_seconds)

    def fit(module: LightningModule, source: DataLoader[Batch] | FMADataModule, **settings: Any) -> list[float]:
        """Train for three epochs; return the seconds of all but the first, which warms up."""
        clock = EpochClock()
        trainer = Trainer(
            max_epochs=3,
            logger=False,
            limit_val_batches=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[clock, *settings.pop("callbacks", ())],
            **settings,
        )
        trainer.fit(module, source)
        return clock.seconds[1:]

    in_memory: Any = DataLoader(batches, batch_size=None)
    seconds: dict[str, list[float]] = {"bare loop": [], "Lightning alone": [], "framework": []}
    profiler = SimpleProfiler()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            # In turn, so that a noisy machine slows all alike.
            seconds["bare loop"] += bare_epochs(model().to(device), batches, 3)[1:]
            seconds["Lightning alone"] += fit(Plain(model()), in_memory, enable_checkpointing=False)
            checkpoint = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True)
            callbacks = [History(), checkpoint]
            seconds["framework"] += fit(model(), data, callbacks=callbacks, profiler=profiler, default_root_dir=folder)
    tracks = sum(len(batch.label) for batch in batches)
    print(f"{tracks} clips of {options.clip_seconds:g} s, {device}, {torch.get_num_threads()} threads")
    for name, values in seconds.items():
        milliseconds = [1000 * value / len(batches) for value in values]
        low, high = min(milliseconds), max(milliseconds)
        print(
            f"{name}: {statistics.median(milliseconds):.1f} ms a step ({low:.1f} to {high:.1f}), {len(batches)} steps"
        )
    waits = profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
    print(f"wait for a batch: {1000 * statistics.median(waits):.1f} ms a step")
    bare, alone, framework = map(statistics.median, seconds.values())
    print(f"clips of {options.clip_seconds:g} s: ratio {framework / bare:.2f} to a bare loop (asked: 1.10), ", end="")
    print(f"of Lightning alone {alone / bare:.2f}")


if __name__ == "__main__":
    main()
