"""Format the lines that a training prints: before it, after each epoch, and at its end."""

from typing import Final

from lightning.pytorch.loggers import Logger

from lit_genre.plots.curves import Row, SelectedEpoch, gap_of, in_words, primary_metric_of
from lit_genre.runs.folder import RunFolder
from lit_genre.text import one_line, shell_argument

_SHORT_NAMES: Final = {"average_precision_macro": "mAP"}
"""Names in the line of an epoch, which must fit a narrow terminal."""

_OFFLINE_RUNS: Final = "wandb/offline-run-*"
"""Folders in which W&B keeps a run that it does not upload."""


def format_start(name: str, n_parameters: int, folder: RunFolder) -> str:
    """Format the line before a training: network, number of parameters, folder."""
    line = one_line(f"{name}: {n_parameters:,} parameters to train; the run goes to {folder.path}")
    return f"{line}\nEach epoch: training/validation"


def format_epoch(row: Row, max_epochs: int | None) -> str:
    """Format the line of an epoch: losses, primary metric, learning rate and seconds, within 80 columns.

    Args:
        row: A row of `metrics.csv`.
        max_epochs: Number of epochs; None or -1 if it is not limited.
    """

    def pair(quantity: str) -> str:
        values = (row.get(f"{split}/{quantity}") for split in ("train", "val"))
        return "/".join("-" if value is None else f"{value:.3f}" for value in values)

    number = f"{row['epoch'] + 1:.0f}" + (f"/{max_epochs}" if max_epochs and max_epochs > 0 else "")
    primary_metric = primary_metric_of([row])
    name = _SHORT_NAMES.get(primary_metric, primary_metric)
    return (
        f"epoch {number:>7}  loss {pair('loss')}  {name} {pair(primary_metric)}  lr {row['lr']:.2g}  "
        f"{row['seconds']:.1f} s"
    )


def format_stop(epoch: int, folder: RunFolder) -> str:
    """Format the line of a stopped training: its epoch, counted from 0 in the argument, and how to resume it."""
    return f"Stopped in epoch {epoch + 1}. To resume: lit-genre fit --ckpt_path {shell_argument(str(folder.last))}"


def format_summary(rows: list[Row], selected: SelectedEpoch | None, folder: RunFolder, loggers: list[Logger]) -> str:
    """Format the lines after a training: selected epoch, files, and the next command."""
    lines = [("Run", str(folder.path))]
    if selected:
        lines.append(("Selected", _describe_selection(rows, selected)))
    if folder.curves.exists():
        lines.append(("Curves", str(folder.curves)))
    if any(folder.path.glob(_OFFLINE_RUNS)):
        lines.append(("W&B", f"offline; to upload: wandb sync {shell_argument(str(folder.path))}/{_OFFLINE_RUNS}"))
    else:
        urls = (getattr(getattr(logger, "experiment", None), "url", None) for logger in loggers)
        lines += [("W&B", url) for url in urls if url]
    if folder.best.exists():
        lines.append(("Next", f"lit-genre test --ckpt_path {shell_argument(str(folder.best))}"))
    return "\n".join(f"{name + ':':<10}{one_line(text)}" for name, text in lines)


def _describe_selection(rows: list[Row], selected: SelectedEpoch) -> str:
    primary_metric = primary_metric_of(rows)
    text = f"epoch {selected.row['epoch'] + 1:.0f} of {len(rows)}, {selected.by}"
    for split in ("train", "val"):
        value = selected.row.get(f"{split}/{primary_metric}")
        text += "" if value is None else f"; {split} {in_words(primary_metric)} {value:.1%}"
    # In percentage points: a ratio of two accuracies would be misread.
    gap = gap_of(selected.row)
    return text + ("" if gap is None else f", gap {100 * gap:.1f} points")
