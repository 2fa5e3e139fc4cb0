"""Build the optimiser and the scheduler of a training, and set the length of a cycle."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from lit_genre.errors import LitGenreError

Interval = Literal["epoch", "step"]

_BEGIN: Final = 0.04
"""First learning rate as a part of the peak: the default of torch's OneCycleLR, 1 / 25."""


class OneCycle(LRScheduler):
    """Raises the learning rate to the optimiser's, then lowers it to 0 at the end of training, along half cosines.

    Steps with each batch. torch's OneCycleLR has the same course, but needs the number of steps as an argument, which
    follows from the data: GenreClassifier sets it here.

    An interrupted run resumes the cycle where it was. A finished cycle cannot be prolonged: its learning rate is 0, and
    a longer cycle would jump back to most of the peak; resuming such a run with more epochs is refused. A run that is
    resumed inside its cycle with another length continues on the course of the new length, and prints the change.

    Args:
        optimizer: Its learning rate is the peak.
        rise: Part of the training, 0 to 1, in which the rate rises.

    Attributes:
        total_steps: Steps of the whole training; set before the first.
        planned_steps: The same when the run was saved, in a run that is resumed.

    Reference:
        L. N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates", 2019.
    """

    def __init__(self, optimizer: Optimizer, rise: float = 0.3) -> None:
        self.rise = rise
        self.total_steps = math.inf
        self.planned_steps = math.inf
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """Compute the rate of each group of parameters for the coming step."""
        return [peak * self._share(self.total_steps) for peak in self.base_lrs]

    def set_total_steps(self, total_steps: float) -> str | None:
        """Set the length of the cycle.

        Args:
            total_steps: Steps of the whole training.

        Returns:
            A line about the change, where a run is resumed with another length; None otherwise.

        Raises:
            LitGenreError: total_steps is infinite.
        """
        if total_steps == math.inf:
            raise LitGenreError("OneCycle needs the number of steps of the training. Set trainer.max_epochs.")
        self.total_steps = total_steps
        before = self.planned_steps
        if before in (math.inf, total_steps):
            return None
        peak = self.base_lrs[0]
        rates = f"{peak * self._share(before):.2g} to {peak * self._share(total_steps):.2g}"
        return (
            f"OneCycle: the run was planned for {before:,.0f} steps and now has {total_steps:,.0f}, so the learning "
            f"rate changes from {rates} here."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state; a resumed run sets the length of its cycle again and compares it with the stored one."""
        # The length and the rise follow from the options of the resumed run.
        state = {name: value for name, value in super().state_dict().items() if name not in ("total_steps", "rise")}
        return state | {"planned_steps": self.total_steps}

    def _share(self, total_steps: float) -> float:
        """Compute the part of the peak, 0 to 1, that the coming step has in a cycle of so many steps."""
        # total_steps - 1: the rate of the last step is 0. At most 1, as a resumed run may be asked once after the end.
        progress = min(1.0, self.last_epoch / max(1, total_steps - 1))
        if progress < self.rise:
            return _BEGIN + (1 - _BEGIN) * _half_cosine(progress / self.rise)
        return _half_cosine((1 - progress) / (1 - self.rise)) if self.rise < 1 else 1.0


def build_optimization(
    model: nn.Module,
    decayed_parts: Sequence[nn.Module],
    optimizer: OptimizerCallable,
    scheduler: LRSchedulerCallable | None,
    interval: Interval | None,
    rate_factors: Mapping[int, float],
) -> OptimizerLRScheduler:
    """Build the optimiser and the scheduler, as `configure_optimizers` returns them.

    Args:
        model: The model.
        decayed_parts: Parts of the model with weight decay, except of their biases and normalisation layers.
        optimizer: Called with the groups of parameters.
        scheduler: Called with the optimiser; None for a constant learning rate.
        interval: How often the scheduler steps; None for the interval of its class, see `interval_of`.
        rate_factors: Factor of the learning rate by the id of a parameter; 1 for those that are not in it.
    """
    # Matrices and kernels only: biases and normalisation have one dimension.
    decayed = [p for part in decayed_parts for p in part.parameters() if p.ndim > 1]
    # By identity: comparing tensors would compare their values.
    chosen = {id(p) for p in decayed}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    # The largest factor first, which is usually that of the head: its rate is reported.
    factors = sorted({1.0, *rate_factors.values()}, reverse=True)
    groups = []
    for factor in factors:
        for parameters, options in ((decayed, {}), (rest, {"weight_decay": 0.0})):
            of_factor = [p for p in parameters if rate_factors.get(id(p), 1.0) == factor]
            if of_factor or not rate_factors:
                groups.append({"params": of_factor, "factor": factor, **options})
    built = optimizer(groups)
    for group in built.param_groups:
        group["lr"] *= group.pop("factor")
    if scheduler is None:
        return built
    schedule = scheduler(built)
    monitor = schedule.monitor if isinstance(schedule, ReduceLROnPlateau) else None
    return {
        "optimizer": built,
        "lr_scheduler": {
            "scheduler": schedule,
            "interval": interval_of(schedule, interval),
            "monitor": monitor,
            # Without a val split the monitored metric does not exist, and Lightning would stop the run.
            "strict": False,
        },
    }


def set_cycle_length(trainer: Trainer, report: Callable[[str], None]) -> None:
    """Set the length of each OneCycle of a trainer to its number of steps.

    Args:
        trainer: The trainer; counting its steps builds the data loader.
        report: Called with a line about a change of the length in a resumed run.
    """
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.scheduler, OneCycle):
            change = config.scheduler.set_total_steps(trainer.estimated_stepping_batches)
            if change is not None:
                report(change)


def step_plateau_schedulers(trainer: Trainer, is_validated: bool) -> None:
    """Step the schedulers that watch a score.

    Args:
        trainer: The trainer.
        is_validated: Whether this epoch was validated. If not, Lightning still has the scores of an earlier epoch,
            with which the schedulers have stepped already.
    """
    for config in trainer.lr_scheduler_configs:
        monitor = config.monitor or ""
        value = trainer.callback_metrics.get(monitor)
        is_stale = monitor.startswith("val/") and not is_validated
        if isinstance(config.scheduler, ReduceLROnPlateau) and value is not None and not is_stale:
            config.scheduler.step(value)


def check_cycle(checkpoint: Mapping[str, Any], max_epochs: int | None, max_steps: int) -> None:
    """Refuse to prolong a run whose OneCycle is over.

    Args:
        checkpoint: The checkpoint of the run.
        max_epochs: trainer.max_epochs of the resumed run; None or -1 for no limit.
        max_steps: trainer.max_steps of the resumed run; -1 for no limit.

    Raises:
        LitGenreError: The cycle is over, and the limits allow more steps.
    """
    states = [state for state in checkpoint.get("lr_schedulers", ()) if "planned_steps" in state]
    if not any(state["last_epoch"] >= state["planned_steps"] for state in states):
        return
    steps = checkpoint["global_step"]
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if (max_epochs is None or not 0 <= max_epochs <= epochs) and not 0 <= max_steps <= steps:
        raise LitGenreError(
            f"This run ended its OneCycle after {epochs} epochs and {steps:,} steps. Its learning rate is 0, so more "
            "epochs cannot improve it. To train longer, start a new run: leave out --ckpt_path, and set "
            "--trainer.max_epochs to the new number of epochs."
        )


def interval_of(scheduler: Any, asked: Interval | None) -> Interval:
    """Return how often a scheduler steps.

    Args:
        scheduler: The scheduler.
        asked: The interval that the user chose; None for "step" with lit_genre.OneCycle and with torch's OneCycleLR
            and CyclicLR, whose arguments count steps, and "epoch" otherwise.

    Raises:
        LitGenreError: The scheduler cannot step at this interval.
    """
    if isinstance(scheduler, ReduceLROnPlateau) and asked == "step":
        raise LitGenreError(
            "scheduler_interval is step, but ReduceLROnPlateau uses the score of an epoch. Set it to epoch."
        )
    if isinstance(scheduler, OneCycle) and asked == "epoch":
        raise LitGenreError(
            "scheduler_interval is epoch, but lit_genre.OneCycle steps with each batch: set it to step."
        )
    return asked or ("step" if isinstance(scheduler, OneCycle | OneCycleLR | CyclicLR) else "epoch")


def _half_cosine(x: float) -> float:
    """Return a value that rises smoothly from 0 at x = 0 to 1 at x = 1."""
    return (1 - math.cos(math.pi * x)) / 2
