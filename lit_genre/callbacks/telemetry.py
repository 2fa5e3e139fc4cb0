"""Log learning rate, norm of the gradient, speed and waiting time of each epoch."""

import time
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

MEASURED_EVERY: Final = 4
"""Steps between two measured gradients: measuring each would slow small networks down."""


class Telemetry(Callback):
    """Logs `train/lr`, `train/grad_norm` and `speed/...` each epoch.

    `speed/epoch_seconds` is the duration of the training part of the epoch, `speed/data_seconds` the part of it spent
    waiting for batches, and `speed/clips_per_second` the number of clips of all processes divided by the duration.
    `train/grad_norm` is the mean L2 norm of the gradient over every fourth step, before clipping.
    """

    def __init__(self) -> None:
        self._began = self._ready = self._waited = 0.0
        self._clips = self._steps = 0
        self._norms: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of an epoch that a resumed run continues."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the epoch."""
        self._began = self._ready = time.perf_counter()
        self._waited, self._clips, self._steps = 0.0, 0, 0
        self._norms.clear()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the time since the last batch as waiting."""
        self._waited += time.perf_counter() - self._ready

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Measure the gradient of some steps."""
        self._steps += 1
        if (self._steps - 1) % MEASURED_EVERY:
            return
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        # Kept as a tensor: reading its value would wait for the accelerator.
        self._norms.append(torch.nn.utils.get_total_norm(gradients))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the clips."""
        self._clips += len(batch.label)
        self._ready = time.perf_counter()
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._log(trainer, pl_module, self._ready - self._began)

    def _log(self, trainer: Trainer, pl_module: LightningModule, seconds: float) -> None:
        figures: dict[str, Any] = {
            "train/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "speed/epoch_seconds": seconds,
            "speed/data_seconds": self._waited,
            "speed/clips_per_second": self._clips * trainer.world_size / max(seconds, 1e-9),
        }
        if self._norms:
            figures["train/grad_norm"] = torch.stack(self._norms).mean()
        # Once an epoch: a call of log in each step takes longer than the measurements.
        pl_module.log_dict(figures, on_step=False, on_epoch=True, batch_size=1)
