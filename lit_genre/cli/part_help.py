"""Print all options of the data, of the model or of the trainer."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Final

from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from lit_genre.cli.parsing.arguments import data_class_in, take, take_configs
from lit_genre.cli.start import start
from lit_genre.cli.training import GenreCLI

_DEFAULT_DATA: Final = "FMADataModule"


class _PartHelp(GenreCLI):
    """Prints the options of one part instead of running a command."""

    part = ""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Print the options of the part, and exit."""
        command_parser: Any = self._subcommand_parsers[self.command]
        command_parser.description = command_parser.epilog = None
        command_parser.usage = f"lit-genre {self.command} [OPTION ...]"
        for action in command_parser._actions:
            if action.dest.partition(".")[0] != self.part:
                action.help = argparse.SUPPRESS
        command_parser.print_help()
        sys.exit(0)


def print_part_help(command: str, part: str, options: Sequence[str]) -> None:
    """Print the options of a part, and exit.

    Args:
        command: "fit", "validate", "test" or "predict".
        part: "data", "model" or "trainer".
        options: The other options, of which --data and --config choose the class of the data.

    Raises:
        SystemExit: Always; its status is 0.
    """
    if part == "data":
        configs, rest = take_configs(list(options))
        named = [name for config in configs if (name := data_class_in(config))]
        chosen = take(rest, "--data")[0] or (named or [_DEFAULT_DATA])[-1]
        start(GenreCLI, [command, f"--data.help={chosen}"])
    _PartHelp.part = part
    # A parser of validate, test and predict requires a checkpoint, except for help.
    start(_PartHelp, [command, "--print_config"])
