"""The first step of a run: what changes in its folder when that has succeeded, and not before.

A run that is refused, because its checkpoint does not fit or its options are wrong, leaves the folder as it was.
"""

from abc import abstractmethod
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FirstStepCallback(Callback):
    """Calls `on_first_step` once a training, after its first batch, and before the first checkpoint is written."""

    _is_begun = False

    @abstractmethod
    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Change what a training changes."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Expect the first step of this training."""
        self._is_begun = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notice the first step."""
        self._begin(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Notice a checkpoint that is written after the first step, by a callback that comes before this one."""
        if trainer.training:
            self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._is_begun:
            self._is_begun = True
            self.on_first_step(trainer, pl_module)


class FirstStep(Callback):
    """Notes that a batch has been computed: until then, an error of a restored run is one of its checkpoint.

    Attributes:
        is_done: Whether it has.
    """

    def __init__(self) -> None:
        self.is_done = False

    def on_train_batch_end(self, *args: Any) -> None:
        """Note a step of training."""
        self.is_done = True

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Note a step of validation, but not of the check before training, which the optimiser has no part in."""
        self.is_done = not trainer.sanity_checking

    def on_test_batch_end(self, *args: Any) -> None:
        """Note a step of a test."""
        self.is_done = True

    def on_predict_batch_end(self, *args: Any) -> None:
        """Note a step of a prediction."""
        self.is_done = True
