"""One parser of all commands, from which shtab writes the completion of a shell."""

import argparse
from importlib import import_module

from lit_genre.commands import functions
from lit_genre.commands.table import COMMANDS
from lit_genre.commands.training_help import option_names


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of `lit-genre` with a subparser for each command.

    The parser is for shtab alone: `shtab --shell=bash lit_genre.commands.completion.get_parser`.
    """
    parser = argparse.ArgumentParser(prog="lit-genre")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers(dest="command")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary, add_help=False)
        for option in _options(name, command.target):
            subparser.add_argument(option)
    return parser


def _options(name: str, target: str) -> list[str]:
    module = target.partition(":")[0]
    if module == "lit_genre.commands.training":
        return option_names(name)
    parser = functions.parser(name) if name in functions.FUNCTIONS else import_module(module).parser()
    return [option for action in parser._actions for option in action.option_strings if not option.endswith("+")]
