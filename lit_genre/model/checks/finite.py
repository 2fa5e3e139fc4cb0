"""Check that losses, probabilities and weights are finite, so that a diverged run stops with an error."""

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lit_genre.errors import LitGenreError

CHECK_EVERY: Final = 500
"""Batches between two checks of the training loss: each check waits for the device."""

_HINT_TRAINING: Final = (
    "Lower the learning rate (--model.optimizer.lr), limit the gradients (--trainer.gradient_clip_val=1), or, with a "
    "precision of 16 bits, choose --trainer.precision=32-true. Checkpoints of earlier epochs are kept."
)
_HINT_TRAINED: Final = (
    "Use a checkpoint of an earlier epoch, or train again with a lower learning rate; with a precision of 16 bits, "
    "choose --trainer.precision=32-true."
)


class LossMonitor:
    """Collects the losses of batches on their device, and checks many at once.

    Args:
        split: "train", "val" or "test".
    """

    def __init__(self, split: str) -> None:
        self._split = split
        self._losses: list[Tensor] = []
        self._checked = 0

    def start(self) -> None:
        """Begin an epoch."""
        self._losses, self._checked = [], 0

    def add(self, loss: Tensor) -> None:
        """Add the loss of a batch, a scalar, without waiting for the device.

        Args:
            loss: Loss of the batch.
        """
        self._losses.append(loss.detach())

    @property
    def is_due(self) -> bool:
        """Whether at least CHECK_EVERY losses are not checked yet."""
        return len(self._losses) >= CHECK_EVERY

    def check(self, trainer: Trainer) -> None:
        """Check the losses since the last check; every process calls this at the same batch.

        Raises:
            LitGenreError: A loss, in any process, is not finite.
        """
        if not self._losses:
            return
        values = torch.stack(self._losses).tolist()
        index = next((index for index, value in enumerate(values) if not math.isfinite(value)), None)
        batch = self._checked + len(values) if index is None else self._checked + index + 1
        value = values[-1 if index is None else index]
        self._checked += len(values)
        self._losses = []
        # All processes stop together: otherwise the others would wait for the one that stopped.
        if trainer.strategy.reduce_boolean_decision(index is not None, all=False):
            what = "not finite in another process" if index is None else str(value)
            raise LitGenreError(f"{self._split}/loss is {what} {_place(trainer, batch)}. {_hint(trainer)}")


def check_finite(values: Tensor, name: str) -> None:
    """Check that values are finite.

    Args:
        values: Tensor of any shape.
        name: Subject of the error message, a plural.

    Raises:
        LitGenreError: A value is not finite.
    """
    if not values.isfinite().all():
        raise LitGenreError(f"{name} are not finite numbers. {_HINT_TRAINED}")


def check_weights_to_save(weights: Mapping[str, Any]) -> None:
    """Refuse to write weights that could not be loaded again.

    Args:
        weights: `state_dict` of a model.

    Raises:
        LitGenreError: A floating-point tensor among them is not finite.
    """
    floats = {name: value for name, value in weights.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if not floats:
        return
    # Stacked, so that the device is waited for once and not for each tensor.
    is_finite = torch.stack([value.isfinite().all() for value in floats.values()]).tolist()
    if names := [name for name, finite in zip(floats, is_finite, strict=True) if not finite]:
        raise LitGenreError(
            f"The weights {names[0]} are not finite numbers, and no checkpoint of them is written. {_HINT_TRAINING}"
        )


def _place(trainer: Trainer, batch: int) -> str:
    if trainer.sanity_checking:
        return f"at batch {batch} of the validation before training"
    if trainer.state.fn != TrainerFn.FITTING:
        return f"at batch {batch}"
    return f"in epoch {trainer.current_epoch + 1} at batch {batch}, after {trainer.global_step:,} steps"


def _hint(trainer: Trainer) -> str:
    return _HINT_TRAINING if trainer.state.fn == TrainerFn.FITTING else _HINT_TRAINED
