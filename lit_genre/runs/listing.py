"""List the runs of a folder with their data, epochs and scores, from their files alone."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_genre.errors import LitGenreError
from lit_genre.runs.accuracy import read_tested
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
        entry.data = describe_data(config["data"])
        if folder.metrics.is_file():
            entry.epochs, entry.val = _read_metrics(folder.metrics)
        if folder.test_table.is_file():
            tested = read_tested(folder)
            entry.test = sum(tested.correct) / len(tested.correct) if tested else None
        # The summary is written last.
        if folder.summary.is_file():
            entry.state = "finished"
    except (LitGenreError, AttributeError, IndexError, OSError, ValueError) as error:
        # One damaged run must not hide the others.
        entry.state = str(error)
    return entry


def describe_data(data: dict[str, Any]) -> str:
    """Return a short name of the data of a run.

    Args:
        data: Section `data` of a configuration.

    Returns:
        Class without "DataModule", subset, and folder or list: "FMA small data".
    """
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
