"""Change the folder of a run only after its first step has succeeded.

A run that is refused, because its checkpoint does not fit or its options are wrong, leaves the folder unchanged.
"""

from abc import abstractmethod
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FirstStepCallback(Callback):
    """Calls `on_first_step` once per training, after its first batch and before its first checkpoint."""

    _is_begun = False

    @abstractmethod
    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Change the files that this training invalidates."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the first step of this training."""
        self._is_begun = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Call `on_first_step` after the first batch."""
        self._begin(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Call `on_first_step` if a callback before this one writes a checkpoint first."""
        if trainer.training:
            self._begin(trainer, pl_module)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._is_begun:
            self._is_begun = True
            self.on_first_step(trainer, pl_module)


class FirstStep(Callback):
    """Notes that a batch has been computed: until then, an error of a restored run is due to its checkpoint.

    Attributes:
        is_done: Whether a batch has been computed.
    """

    def __init__(self) -> None:
        self.is_done = False

    def on_train_batch_end(self, *args: Any) -> None:
        """Note a step of training."""
        self.is_done = True

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Note a step of validation, but not of the check before training, which does not use the optimiser."""
        self.is_done = not trainer.sanity_checking

    def on_test_batch_end(self, *args: Any) -> None:
        """Note a step of a test."""
        self.is_done = True

    def on_predict_batch_end(self, *args: Any) -> None:
        """Note a step of a prediction."""
        self.is_done = True
