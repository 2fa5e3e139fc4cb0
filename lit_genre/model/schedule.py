"""Learning rates that know how long the training is."""

import math
from typing import Any, Final

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

_BEGIN: Final = 0.04
"""Part of the peak to begin with: torch's OneCycleLR has the same."""


class OneCycle(LRScheduler):
    """Rises to the optimiser's learning rate, and falls to nothing by the end of training, along half cosines.

    Steps with each batch. torch's OneCycleLR has the same course, but must be told the number of steps, which nobody
    knows before the data: GenreClassifier tells it to this one.

    Args:
        optimizer: Its learning rate is the peak.
        rise: Part of the training, 0 to 1, in which the rate rises.

    Attributes:
        total_steps: Steps of the whole training; set before the first.

    Reference:
        L. N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates", 2019.
    """

    def __init__(self, optimizer: Optimizer, rise: float = 0.3) -> None:
        self.rise = rise
        self.total_steps = math.inf
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """Compute the rate of each group of parameters for the coming step."""
        place = min(1.0, self.last_epoch / max(1, self.total_steps - 1))
        if place < self.rise:
            share = _BEGIN + (1 - _BEGIN) * _half_cosine(place / self.rise)
        else:
            share = _half_cosine((1 - place) / (1 - self.rise)) if self.rise < 1 else 1.0
        return [peak * share for peak in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Leave out what a run that goes on knows by itself, and may know better."""
        return {name: value for name, value in super().state_dict().items() if name not in ("total_steps", "rise")}


def _half_cosine(place: float) -> float:
    """Climb smoothly from 0 at 0 to 1 at 1."""
    return (1 - math.cos(math.pi * place)) / 2
