"""The command `datasets`: list the installed data modules with their packages and their own options."""

import argparse
import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from lit_genre.commands.arguments import add_format, new_parser
from lit_genre.commands.lists import print_list
from lit_genre.commands.plugin_list import add_refresh, cached_rows
from lit_genre.text import one_line


@dataclass
class DatasetEntry:
    """A row of the list.

    Attributes:
        name: Name of the class, the value of --data.
        package: Package that it comes from.
        version: Version of the package.
        summary: First line of its docstring.
        options: Names of the arguments that it has itself; those of its base class are the same for all.
        error: Why it cannot be used; "" if it can.
    """

    name: str
    package: str
    version: str
    summary: str = ""
    options: str = ""
    error: str = ""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "datasets",
        "List the installed data sets, which --data takes: package, summary and own options.",
        ("datasets", "fit --data FolderDataModule --help data"),
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
    entries = cached_rows("lit_genre.datamodules", DatasetEntry, _read_plugins, options.refresh)
    print_list(entries, options.format, _as_table(entries))


def _read_plugins() -> list[DatasetEntry]:
    from lit_genre.data.datamodules.registry import datamodules

    with warnings.catch_warnings():
        # A broken plugin has a row of its own.
        warnings.simplefilter("ignore")
        plugins = datamodules().values()
    entries = []
    for plugin in plugins:
        entry = DatasetEntry(plugin.name, plugin.package, plugin.version, error=plugin.error)
        if plugin.loaded is not None:
            entry.summary = (inspect.getdoc(plugin.loaded) or "").partition("\n")[0]
            arguments = inspect.signature(plugin.loaded).parameters.values()
            entry.options = ", ".join(part.name for part in arguments if part.kind is not part.VAR_KEYWORD)
        entries.append(entry)
    return entries


def _as_table(entries: Sequence[DatasetEntry]) -> Table:
    table = Table("Data set, package and description", "Own options", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in entries:
        package = one_line(f"{entry.package} {entry.version}")
        text = Text.assemble((one_line(entry.name), "bold"), "  ", (package, "dim"))
        for line, style in ((entry.summary, "default"), (entry.error.partition("\n")[0], "red")):
            text.append(f"\n{one_line(line)}" if line else "", style)
        table.add_row(text, one_line(entry.options))
    return table
