"""List the runs of a folder with their data, epochs and scores, from their files alone."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import RunFolder


@dataclass
class RunEntry:
    """A row of the list.

    Attributes:
        path: Folder of the run.
        backbone: Name of the backbone.
        data: Class of the data and, if it has one, its subset or folder.
        epochs: Number of finished epochs.
        val: Best primary metric of the validation, 0 to 1; None if there is none.
        test: Accuracy of the test, 0 to 1; None if the run is not tested, or its task is multilabel.
        state: "finished", "unfinished", or the message of a damaged file.
    """

    path: str
    backbone: str = ""
    data: str = ""
    epochs: int = 0
    val: float | None = None
    test: float | None = None
    state: str = "unfinished"


def list_runs(folder: Path) -> list[RunEntry]:
    """Read the runs of a folder.

    Args:
        folder: Folder of the runs.

    Returns:
        The runs, the newest first.

    Raises:
        LitGenreError: The folder does not exist.
    """
    if not folder.is_dir():
        raise LitGenreError(f"There is no folder {folder}. Train a network by lit-genre fit, or set --folder.")
    # A folder without config.yaml is a run that failed before its first step, or no run.
    paths = [path for path in folder.iterdir() if RunFolder(path).config.is_file()]
    return [read_entry(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]


def read_entry(path: Path) -> RunEntry:
    """Read what the list shows of a run.

    Args:
        path: Folder of the run.

    Returns:
        The row; a damaged file is described in `state`.
    """
    entry, folder = RunEntry(str(path)), RunFolder(path)
    try:
        config = folder.read_config()
        backbone = config.get("model", {}).get("backbone") or {}
        entry.backbone = str(backbone.get("class_path", "")).rpartition(".")[2]
        entry.data = _describe_data(config["data"])
        if folder.metrics.is_file():
            entry.epochs, entry.val = _read_metrics(folder.metrics)
        if folder.test_table.is_file():
            correct = read_correct(folder)
            entry.test = sum(correct) / len(correct) if correct else None
        # The summary is written last.
        if folder.summary.is_file():
            entry.state = "finished"
    except (LitGenreError, AttributeError, IndexError, OSError, ValueError) as error:
        # One damaged run must not hide the others.
        entry.state = str(error)
    return entry


def _describe_data(data: dict[str, Any]) -> str:
    arguments = data.get("init_args") or {}
    name = data["class_path"].rpartition(".")[2].removesuffix("DataModule")
    details = (arguments.get("subset"), arguments.get("path") or arguments.get("csv") or arguments.get("root"))
    return " ".join([name, *(str(detail) for detail in details if detail)])


def _read_metrics(path: Path) -> tuple[int, float | None]:
    """Return the number of epochs and the best score of the validation."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # The primary metric of the multiclass task, then that of the multilabel task.
    columns = ("val/accuracy", "val/average_precision_macro")
    scores = [float(row[name]) for name in columns for row in rows if row.get(name)]
    return len(rows), max(scores, default=None)


def read_correct(folder: RunFolder) -> list[bool] | None:
    """Return whether the prediction of each test track is right.

    Args:
        folder: Folder of a tested run.

    Returns:
        A value for each track; None in the multilabel task, or without a track.
    """
    with folder.test_table.open(newline="", encoding="utf-8") as file:
        # By position, not by name: a genre may have the name of another column.
        rows = [row[1:3] for row in list(csv.reader(file))[1:]]
    if not rows or folder.genres_table.is_file():
        return None
    return [genre == predicted for genre, predicted in rows]
