"""What a run leaves behind: figures, tables and pictures in its folder, and what it sends to W&B."""

from lightning.pytorch import Trainer


def leaves_files(trainer: Trainer) -> bool:
    """Tell whether this process writes into the run's folder: the first one does, and none in a fast_dev_run."""
    return trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False)
