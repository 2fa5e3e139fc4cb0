"""The command `runs`: list the runs of a folder with their data, epochs and scores."""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import RUNS
from lit_genre.text import one_line


@dataclass
class Entry:
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


def run(args: Sequence[str]) -> None:
    """Print the runs of a folder, the newest first.

    Args:
        args: The arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: The folder does not exist.
    """
    options = _parser().parse_args(args)
    if not options.folder.is_dir():
        raise LitGenreError(f"There is no folder {options.folder}. Train a network by lit-genre fit, or set --folder.")
    # A folder without config.yaml is a run that failed before its first step, or no run.
    paths = [path for path in options.folder.iterdir() if RunFolder(path).config.is_file()]
    entries = [_read(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)]
    if options.json:
        print(dumps([asdict(entry) for entry in entries], indent=2))
    else:
        console.print(_as_table(entries))


def _read(path: Path) -> Entry:
    entry, folder = Entry(str(path)), RunFolder(path)
    try:
        config = folder.read_config()
        backbone = config.get("model", {}).get("backbone") or {}
        entry.backbone = str(backbone.get("class_path", "")).rpartition(".")[2]
        entry.data = _describe_data(config["data"])
        if folder.metrics.is_file():
            entry.epochs, entry.val = _read_metrics(folder.metrics)
        if folder.test_table.is_file():
            entry.test = _read_accuracy(folder)
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


def _read_accuracy(folder: RunFolder) -> float | None:
    """Return the accuracy of the test; None in the multilabel task."""
    with folder.test_table.open(newline="", encoding="utf-8") as file:
        # By position, not by name: a genre may have the name of another column.
        rows = [row[1:3] for row in list(csv.reader(file))[1:]]
    if not rows or folder.genres_table.is_file():
        return None
    return sum(genre == predicted for genre, predicted in rows) / len(rows)


def _as_table(entries: list[Entry]) -> Table:
    right = [Column(name, justify="right") for name in ("epochs", "best val", "test")]
    table = Table(Column("run", overflow="fold"), "backbone", Column("data", overflow="fold"), *right, "state")
    for entry in entries:
        scores = ("-" if score is None else f"{score:.1%}" for score in (entry.val, entry.test))
        names = map(one_line, (entry.path, entry.backbone, entry.data))
        table.add_row(*names, str(entry.epochs), *scores, one_line(entry.state))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre runs",
        description="List the runs of a folder, the newest first: backbone, data, epochs, best validation score, test "
        "accuracy, and whether the training is finished.",
        epilog="Example: lit-genre runs --json | jq '.[0].path'",
        allow_abbrev=False,
    )
    parser.add_argument("--folder", type=Path, default=RUNS, help="folder of the runs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
