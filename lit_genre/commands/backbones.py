"""The command `backbones`: list the installed backbones with their packages, sizes and costs."""

import argparse
import os
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from lit_genre.backbones import BackboneEntry
from lit_genre.commands.arguments import add_format, new_parser
from lit_genre.commands.lists import print_list
from lit_genre.commands.plugin_list import add_refresh, cached_rows
from lit_genre.text import one_line


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "backbones",
        "List the installed backbones: package, size, cost for a 30 s clip of the default front-end, and summary. "
        "Each is built with its defaults; nothing is downloaded.",
        ("backbones", "backbones --format csv", "fit --model.backbone.help=CRNN"),
    )
    add_format(parser)
    add_refresh(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Print the list.

    Args:
        args: The arguments of the command line, without the name of the command.
    """
    options = parser().parse_args(args)
    entries = cached_rows("lit_genre.backbones", BackboneEntry, _measure, options.refresh)
    print_list(entries, options.format, _as_table(entries))


def _measure() -> list[BackboneEntry]:
    # huggingface_hub reads this variable when it is imported. Without it, building a pretrained backbone could download
    # gigabytes.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from lit_genre.backbones.costs import measure_backbones

    return measure_backbones()


def _as_table(entries: Sequence[BackboneEntry]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Backbone, package and description", ratio=1)
    for column in ("Parameters", "MACs, 30 s", "Embedding"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        package = one_line(f"{entry.package} {entry.version}")
        text = Text.assemble((one_line(entry.name), "bold"), "  ", (package, "dim"))
        for line, style in ((entry.summary, "default"), (entry.error.partition("\n")[0], "red")):
            text.append(f"\n{one_line(line)}" if line else "", style)
        dim = "" if entry.embedding_dim is None else str(entry.embedding_dim)
        table.add_row(text, _in_short(entry.parameters), _in_short(entry.macs), dim)
    return table


def _in_short(count: int | None) -> str:
    """Format a count with one decimal and a unit.

    >>> [_in_short(count) for count in (999, 27_456, 999_960, 12_100_000, 3_466_649_600, None)]
    ['999', '27.5 k', '1.0 M', '12.1 M', '3.5 G', '']
    """
    if count is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.99995 * size:
            return f"{count / size:.1f} {unit}"
    return str(count)
