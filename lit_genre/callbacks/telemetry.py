"""What an epoch cost: learning rate, gradient, speed and waiting, logged beside its scores."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer


class Telemetry(Callback):
    """Logs `train/lr`, `train/grad_norm` and `speed/...` each epoch.

    `speed/epoch_seconds` is the training part of the epoch, `speed/data_seconds` the part of it that waited for
    batches, `speed/clips_per_second` all clips over all of it. The norm of the gradient is the mean over steps, before
    clipping.
    """

    def __init__(self) -> None:
        self._began = self._ready = self._waited = 0.0
        self._clips = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = self._ready = time.perf_counter()
        self._waited, self._clips = 0.0, 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time since the last batch as waiting."""
        self._waited += time.perf_counter() - self._ready

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the gradient."""
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        pl_module.log("train/grad_norm", norm, on_step=False, on_epoch=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the clips."""
        self._clips += len(batch.label)
        self._ready = time.perf_counter()
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._log(trainer, pl_module, self._ready - self._began)

    def _log(self, trainer: Trainer, pl_module: LightningModule, seconds: float) -> None:
        figures = {
            "train/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "speed/epoch_seconds": seconds,
            "speed/data_seconds": self._waited,
            "speed/clips_per_second": self._clips * trainer.world_size / max(seconds, 1e-9),
        }
        # As those of the whole epoch: each is logged once.
        pl_module.log_dict(figures, on_step=False, on_epoch=True, batch_size=1)
