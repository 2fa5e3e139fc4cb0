"""The command `runs`: list the runs of a folder with their data, epochs and scores."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table

from lit_genre.commands.arguments import add_format, new_parser
from lit_genre.commands.lists import print_list
from lit_genre.runs.listing import RunEntry, list_runs
from lit_genre.runs.locate import RUNS
from lit_genre.text import one_line


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "runs",
        "List the runs of a folder, the newest first: backbone, data, epochs, best validation score, test accuracy, "
        "and whether the training is finished.",
        ("runs", "runs --format json | jq '.[0].path'"),
    )
    parser.add_argument("--folder", type=Path, default=RUNS, help="folder of the runs (default: %(default)s)")
    add_format(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Print the list.

    Args:
        args: The arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: The folder does not exist.
    """
    options = parser().parse_args(args)
    entries = list_runs(options.folder)
    print_list(entries, options.format, _as_table(entries))


def _as_table(entries: list[RunEntry]) -> Table:
    right = [Column(name, justify="right") for name in ("epochs", "best val", "test")]
    table = Table(Column("run", overflow="fold"), "backbone", Column("data", overflow="fold"), *right, "state")
    for entry in entries:
        scores = ("-" if score is None else f"{score:.1%}" for score in (entry.val, entry.test))
        names = map(one_line, (entry.path, entry.backbone, entry.data))
        table.add_row(*names, str(entry.epochs), *scores, one_line(entry.state))
    return table
