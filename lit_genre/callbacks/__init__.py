"""Callbacks: write the files of a run and send its results to the loggers."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lit_genre.runs.folder import RunFolder


def leaves_files(trainer: Trainer) -> bool:
    """Return whether this process writes into the run's folder: the first process does, none in a fast_dev_run."""
    return trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)


def run_folder(trainer: Trainer) -> RunFolder:
    """Return the folder of the run."""
    return RunFolder(Path(trainer.default_root_dir))


def network_of(pl_module: LightningModule) -> nn.Module:
    """Return the network whose name and size describe a run: the backbone, or a module without one itself."""
    network = getattr(pl_module, "backbone", pl_module)
    assert isinstance(network, nn.Module)
    return network
