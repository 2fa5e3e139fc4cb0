"""What a run leaves behind: figures, tables and pictures in its folder, and what it sends to W&B."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lit_genre.runs.folder import RunFolder


def leaves_files(trainer: Trainer) -> bool:
    """Check whether this process writes into the run's folder: the first one does, and none in a fast_dev_run."""
    return trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)


def run_folder(trainer: Trainer) -> RunFolder:
    """Return the folder of the run."""
    return RunFolder(Path(trainer.default_root_dir))


def network_of(pl_module: LightningModule) -> nn.Module:
    """Find what a run is called after and counted by: the backbone, or the module itself where it has none."""
    network = getattr(pl_module, "backbone", pl_module)
    assert isinstance(network, nn.Module)
    return network
