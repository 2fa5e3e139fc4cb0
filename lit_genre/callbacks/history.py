"""The history of a run: a row of metrics for each epoch, and at the end learning curves and a summary."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_genre.callbacks import leaves_files, network_of, run_folder
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.callbacks.messages import format_epoch, format_start, format_stop, format_summary
from lit_genre.console import console, results
from lit_genre.errors import LitGenreError
from lit_genre.plots.curves import Row, SelectedEpoch, draw_curves, primary_metric_of, select_epoch
from lit_genre.runs.folder import BEST, RunFolder
from lit_genre.runs.writer import peak_memory


class History(FirstStepCallback):
    """Writes `metrics.csv` each epoch, `curves.png` and `summary.json` when training ends, into the run's folder.

    The rows are part of the checkpoint, so that a resumed run continues after the epochs of its checkpoint.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._epoch_began = 0.0
        self._validated = -1

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, which a checkpoint stores."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint.

        Raises:
            LitGenreError: The checkpoint is damaged: they are not rows of numbers.
        """
        rows = state_dict.get("rows")
        if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
            raise LitGenreError("The checkpoint is damaged: its history is not rows of numbers. Use another.")
        self.rows = rows

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line with the network, its size and the run's folder."""
        n = sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad)
        if trainer.is_global_zero:
            console.print(format_start(type(network_of(pl_module)).__name__, n, run_folder(trainer)))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of an epoch that a resumed run continues."""
        super().on_train_start(trainer, pl_module)
        self._epoch_began = time.perf_counter()

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Delete the summary when a run is resumed: it exists only when a run is finished."""
        if trainer.ckpt_path and leaves_files(trainer):
            run_folder(trainer).summary.unlink(missing_ok=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of the epoch."""
        self._epoch_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this epoch was validated: `callback_metrics` still has the scores of an earlier one otherwise."""
        if not trainer.sanity_checking:
            self._validated = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row of the epoch, write the table and print a line."""
        splits = ("train/", "val/") if self._validated == trainer.current_epoch else ("train/",)
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(splits)}
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self._epoch_began, 3),
            **peak_memory(),
            **scores,
        }
        self.rows.append(row)
        if leaves_files(trainer):
            console.print(format_epoch(row, trainer.max_epochs))
            self._write(run_folder(trainer))

    def _write(self, folder: RunFolder) -> None:
        try:
            folder.write_metrics(self.rows)
        except PermissionError as error:
            # A spreadsheet program on Windows has the file open, which must not end the training.
            if sys.platform != "win32":
                raise
            console.print(f"{error.filename2} is open in another program. The next epoch writes it.")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the curves, write the summary and print where the files are."""
        self._draw(trainer)
        if leaves_files(trainer):
            summary: dict[str, Any] = {"parameters": sum(p.numel() for p in network_of(pl_module).parameters())}
            if selected := self._selected(trainer):
                summary |= {"epoch": int(selected.row["epoch"]), "chosen_by": selected.by}
            run_folder(trainer).write_summary(summary)
            results.print(format_summary(self.rows, selected, run_folder(trainer), trainer.loggers))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw the curves of a run that was stopped, and print how to resume it."""
        # An error that the user has to correct has its own message, and the run need not be resumed.
        if isinstance(exception, LitGenreError) or not (trainer.training or trainer.validating):
            return
        self._draw(trainer)
        if leaves_files(trainer) and run_folder(trainer).last.exists():
            console.print(format_stop(trainer.current_epoch, run_folder(trainer)))

    def _draw(self, trainer: Trainer) -> None:
        if self.rows and leaves_files(trainer):
            augmented = bool(len(getattr(trainer.lightning_module, "augment", ())))
            draw_curves(self.rows, run_folder(trainer).curves, self._selected(trainer), augmented=augmented)

    def _selected(self, trainer: Trainer) -> SelectedEpoch | None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint) and callback.filename == BEST:
                return select_epoch(self.rows, callback.monitor, callback.mode)
        return select_epoch(self.rows, f"val/{primary_metric_of(self.rows)}", "max")


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and {"epoch", "seconds"} <= row.keys()
        and all(isinstance(name, str) and isinstance(value, int | float) for name, value in row.items())
    )
