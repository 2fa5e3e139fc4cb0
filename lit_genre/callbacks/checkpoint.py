"""Checkpoints that survive: in the run's own folder, whole at any moment, and found again when the folder moves."""

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
"""What `select_by` says for no selection at all."""


def selection(select_by: str) -> tuple[str | None, str]:
    """Return what a checkpoint monitors, and whether its "max" or "min" is best.

    >>> selection("val/loss"), selection("val/f1_macro"), selection("last")
    (('val/loss', 'min'), ('val/f1_macro', 'max'), (None, 'max'))
    """
    return None if select_by == LAST_EPOCH else select_by, "min" if select_by.endswith("loss") else "max"


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, at home in the folder of the run.

    Args:
        filename: Name of the file, without `.ckpt`; each save takes the place of the one before.
        monitor: Metric to select by; null to keep the last state.
        mode: "max" or "min": which value of the metric is best.
    """

    def __init__(self, filename: str, monitor: str | None = None, mode: str = "max") -> None:
        super().__init__(
            filename=filename,
            monitor=monitor,
            mode=mode,
            enable_version_counter=False,
            # When the epoch's training metrics are known, so that the history in the checkpoint is whole.
            save_on_train_epoch_end=True,
        )

    @property
    def state_key(self) -> str:
        """Return a key that differs between the two checkpoint callbacks, whatever they monitor."""
        return self._generate_state_key(filename=self.filename)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the run's folder."""
        # That of the first process, for each names its own by the time.
        folder = trainer.strategy.broadcast(trainer.default_root_dir)
        self.dirpath = str(RunFolder(Path(folder)).checkpoints)
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score so far, wherever the folder lies now; one of another metric says nothing."""
        if state_dict.get("monitor") != self.monitor:
            return

        def here(path: str) -> str:
            return path and str(Path(self.dirpath or "") / Path(path).name)

        paths = {name: here(state_dict[name]) for name in state_dict if name.endswith("_model_path")}
        models = {here(path): value for path, value in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": models})


class SaveOnSigterm(Callback):
    """Saves `last.ckpt` behind the step in which SIGTERM comes, as a cluster sends it before it takes the machine away.

    A validation that has begun is finished first. A run that goes on from there ends with the weights of one that was
    never stopped; only the training loss of that epoch is then the mean over its rest.
    """

    def __init__(self) -> None:
        self._asked = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal, as soon as Lightning has."""
        self.on_train_start(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal from Lightning 2.6, whose handler waits for the other processes wherever they are."""

        def note(signum: int, frame: FrameType | None) -> None:
            launcher = trainer.strategy.launcher
            if not self._asked and launcher is not None:
                launcher.kill(signum)  # sends it on to the processes that this one started
            self._asked = True

        signal.signal(signal.SIGTERM, note)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop behind a step of the optimiser, in all processes, unless a validation follows."""
        interval = trainer.val_check_batch
        validates = interval is not None and (batch_idx + 1) % interval == 0
        if not validates and not trainer.fit_loop.epoch_loop._should_accumulate():
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop behind the epoch, which RunCheckpoint saves."""
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save, where an epoch has begun and is not over."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if isinstance(exception, SIGTERMException) and trainer.training and epochs.started > epochs.processed:
            folder = trainer.strategy.broadcast(trainer.default_root_dir)
            trainer.save_checkpoint(RunFolder(Path(folder)).last)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._asked, all=False):
            trainer._signal_connector.received_sigterm = True


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the old one and on to the disk before it takes the old one's place.

    Lightning's own writes into the system's temporary folder and copies from there where that is another file
    system: a kill or a power cut in between leaves half a file and no old one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save to `path`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
