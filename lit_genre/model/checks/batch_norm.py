"""Warn about batch normalisation in several processes."""

from lightning.pytorch import Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def note_on_batch_norm(model: nn.Module, trainer: Trainer) -> str | None:
    """Return a warning if several processes normalise their parts of a batch separately; None otherwise.

    Layers in evaluation mode, such as those of a frozen encoder, do not depend on the batch.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.training]
    alone = sum(not isinstance(layer, nn.SyncBatchNorm) for layer in layers)
    if alone == 0 or trainer.world_size == 1:
        return None
    # torch.nn.SyncBatchNorm works on accelerators only.
    on_cpu = trainer.strategy.root_device.type == "cpu"
    hint = "" if on_cpu else " Set --trainer.sync_batchnorm=true to use the clips of all processes."
    return (
        f"{alone} batch normalisation layers use the statistics of the clips of their own process, 1 of "
        f"{trainer.world_size}, so the training differs from that of one process with the whole batch.{hint}"
    )
