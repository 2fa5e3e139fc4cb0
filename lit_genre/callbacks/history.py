"""The history of a run: one row an epoch in metrics.csv, and at its end the curves and summary.json."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from lit_genre.callbacks import leaves_files, network_of
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.plots.curves import Row, SelectedEpoch, draw_curves, gap_of, in_words, primary_metric_of, select_epoch
from lit_genre.runs.folder import BEST
from lit_genre.runs.tables import write_metrics
from lit_genre.runs.writer import peak_memory
from lit_genre.text import one_line


class History(FirstStepCallback):
    """Writes `metrics.csv` each epoch, `curves.png` and `summary.json` when training ends, into the run's folder.

    The rows are part of the checkpoint, so that a resumed run goes on behind the epochs that it was saved with.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._epoch_began = 0.0
        self._validated = -1

    def state_dict(self) -> dict[str, Any]:
        """Keep the rows in the checkpoint."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the checkpoint.

        Raises:
            LitGenreError: They are not rows of numbers.
        """
        rows = state_dict.get("rows")
        if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
            raise LitGenreError("The checkpoint is damaged: its history is not rows of numbers. Name another one.")
        self.rows = rows

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line about the network that is about to be trained."""
        n = sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad)
        name = type(network_of(pl_module)).__name__
        # Lightning prints past the console.
        trainer.print(one_line(f"{name}: {n:,} parameters to train; the run goes to {trainer.default_root_dir}"))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of a run that is resumed inside an epoch."""
        super().on_train_start(trainer, pl_module)
        self._epoch_began = time.perf_counter()

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Delete the file that says that a resumed run is finished."""
        if trainer.ckpt_path and leaves_files(trainer):
            (Path(trainer.default_root_dir) / "summary.json").unlink(missing_ok=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._epoch_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this epoch has validation scores of its own; Lightning keeps those of an earlier one."""
        if not trainer.sanity_checking:
            self._validated = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row, and say in a line how it went."""
        splits = ("train/", "val/") if self._validated == trainer.current_epoch else ("train/",)
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(splits)}
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self._epoch_began, 3),
            "memory_gb": round(peak_memory() / 1e9, 3),
            **scores,
        }
        self.rows.append(row)
        if leaves_files(trainer):
            trainer.print(_line(row, trainer.max_epochs))
            write_metrics(self.rows, Path(trainer.default_root_dir))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the curves, and say where everything lies."""
        self._draw(trainer)
        if leaves_files(trainer):
            summary: dict[str, Any] = {"parameters": sum(p.numel() for p in network_of(pl_module).parameters())}
            if chosen := self._chosen(trainer):
                summary |= {"epoch": int(chosen.row["epoch"]), "chosen_by": chosen.by}
            # Its presence says that training is finished.
            (Path(trainer.default_root_dir) / "summary.json").write_text(json.dumps(summary) + "\n")
            console.print(_summary(self.rows, chosen, Path(trainer.default_root_dir), trainer.loggers))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw the curves of a run that was stopped, and say how to go on with it."""
        # Of what the user has to mend there is one message, the error's own.
        if isinstance(exception, LitGenreError) or not (trainer.training or trainer.validating):
            return
        self._draw(trainer)
        last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        if leaves_files(trainer) and last.exists():
            number, where = trainer.current_epoch + 1, shlex.quote(str(last))
            console.print(f"Stopped in epoch {number}. To go on: lit-genre fit --ckpt_path {where}")

    def _draw(self, trainer: Trainer) -> None:
        if self.rows and leaves_files(trainer):
            augmented = bool(len(getattr(trainer.lightning_module, "augment", ())))
            draw_curves(
                self.rows, Path(trainer.default_root_dir) / "curves.png", self._chosen(trainer), augmented=augmented
            )

    def _chosen(self, trainer: Trainer) -> SelectedEpoch | None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint) and callback.filename == BEST:
                return select_epoch(self.rows, callback.monitor, callback.mode)
        return select_epoch(self.rows, f"val/{primary_metric_of(self.rows)}", "max")


def _line(row: Row, max_epochs: int | None) -> str:
    def pair(quantity: str) -> str:
        values = (row.get(f"{split}/{quantity}") for split in ("train", "val"))
        return " / ".join("-" if value is None else f"{value:.3f}" for value in values)

    number = f"{row['epoch'] + 1:.0f}" + (f"/{max_epochs}" if max_epochs and max_epochs > 0 else "")
    primary_metric = primary_metric_of([row])
    return (
        f"epoch {number:>7}   train / val   loss {pair('loss')}   {in_words(primary_metric)} {pair(primary_metric)}   "
        f"lr {row['lr']:.2g}   {row['seconds']:.1f} s"
    )


def _summary(rows: list[Row], chosen: SelectedEpoch | None, folder: Path, loggers: list[Logger]) -> str:
    lines = [("Run", str(folder))]
    if chosen:
        said = f"epoch {chosen.row['epoch'] + 1:.0f} of {len(rows)}, {chosen.by}"
        primary_metric = primary_metric_of(rows)
        scores = [(split, chosen.row.get(f"{split}/{primary_metric}")) for split in ("train", "val")]
        said += "".join(
            f"; {split} {in_words(primary_metric)} {value:.1%}" for split, value in scores if value is not None
        )
        gap = gap_of(chosen.row)
        lines.append(("Selected", said + ("" if gap is None else f", gap {100 * gap:.1f} points")))
    lines += [("Curves", str(path)) for path in folder.glob("curves.png")]
    if any(folder.glob("wandb/offline-run-*")):
        lines.append(("W&B", f"offline; to upload: wandb sync {shlex.quote(str(folder))}/wandb/offline-run-*"))
    else:
        lines += [
            ("W&B", url) for logger in loggers if (url := getattr(getattr(logger, "experiment", None), "url", None))
        ]
    lines += [
        ("Next", f"lit-genre test --ckpt_path {shlex.quote(str(path))}")
        for path in folder.glob("checkpoints/best.ckpt")
    ]
    return "\n".join(f"{name + ':':<8}{one_line(text)}" for name, text in lines)


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and {"epoch", "seconds"} <= row.keys()
        and all(isinstance(name, str) and isinstance(value, int | float) for name, value in row.items())
    )
