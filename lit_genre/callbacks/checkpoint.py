"""Save checkpoints: into the run's folder, atomically, and on SIGTERM inside an epoch."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any, Final

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_genre.files import atomic_write
from lit_genre.runs.folder import RunFolder

LAST_EPOCH: Final = "last"
"""Value of `select_by` that keeps the last epoch instead of the best one."""


def selection(select_by: str) -> tuple[str | None, str]:
    """Return the metric that a checkpoint monitors, and whether its maximum or minimum is best.

    Args:
        select_by: Name of a metric, or "last". A name that ends in "loss" is minimised, any other maximised.

    Returns:
        The metric, None for "last"; and "max" or "min".

    >>> selection("val/loss"), selection("val/f1_macro"), selection("last")
    (('val/loss', 'min'), ('val/f1_macro', 'max'), (None, 'max'))
    """
    return None if select_by == LAST_EPOCH else select_by, "min" if select_by.endswith("loss") else "max"


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, with its files in the folder of the run.

    Args:
        filename: Name of the file, without `.ckpt`; each save replaces the one before.
        monitor: Metric to select by; null to keep the last state.
        mode: "max" or "min": which value of the metric is best.
    """

    def __init__(self, filename: str, monitor: str | None = None, mode: str = "max") -> None:
        super().__init__(
            filename=filename,
            monitor=monitor,
            mode=mode,
            enable_version_counter=False,
            # After the training epoch: its metrics are known then, and History in the checkpoint has its row.
            save_on_train_epoch_end=True,
        )

    @property
    def state_key(self) -> str:
        """Return a key that differs between the two checkpoint callbacks, whatever they monitor."""
        return self._generate_state_key(filename=self.filename)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Set the folder."""
        # That of the first process: the name has the time, which differs between processes.
        folder = trainer.strategy.broadcast(trainer.default_root_dir)
        self.dirpath = str(RunFolder(Path(folder)).checkpoints)
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score, also if the run's folder was moved; a score of another metric is ignored."""
        if state_dict.get("monitor") != self.monitor:
            return

        def here(path: str) -> str:
            return path and str(Path(self.dirpath or "") / Path(path).name)

        paths = {name: here(state_dict[name]) for name in state_dict if name.endswith("_model_path")}
        models = {here(path): value for path, value in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": models})


class SaveOnSigterm(Callback):
    """Saves `last.ckpt` after the step in which SIGTERM arrives; clusters send it before they stop a job.

    A validation that has begun is finished first. A run that is resumed from there ends with the weights of an
    uninterrupted one; only the training loss of that epoch is the mean over its remaining steps.
    """

    def __init__(self) -> None:
        self._asked = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the handler as soon as Lightning has installed its own."""
        self.on_train_start(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace the handler of Lightning 2.6, which waits for the other processes in the middle of a step."""

        def note(signum: int, frame: FrameType | None) -> None:
            launcher = trainer.strategy.launcher
            if not self._asked and launcher is not None:
                launcher.kill(signum)  # forwards it to the processes that this one started
            self._asked = True

        signal.signal(signal.SIGTERM, note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after a step of the optimiser, in all processes, unless a validation follows."""
        interval = trainer.val_check_batch
        validates = interval is not None and (batch_idx + 1) % interval == 0
        if not validates and not trainer.fit_loop.epoch_loop._should_accumulate():
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop after the epoch, which RunCheckpoint saves."""
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if an epoch has begun and is not over."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if isinstance(exception, SIGTERMException) and trainer.training and epochs.started > epochs.processed:
            folder = trainer.strategy.broadcast(trainer.default_root_dir)
            trainer.save_checkpoint(RunFolder(Path(folder)).last)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            trainer._signal_connector.received_sigterm = True


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint next to the old one and forces it to the disk before it replaces the old one.

    Lightning writes into the system's temporary folder and copies from there if that is another file system: a kill or
    a power cut in between leaves half a file and no old one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint.

        Args:
            checkpoint: The checkpoint, as Lightning collects it.
            path: The file; its folder is made.
            storage_options: Not used.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
