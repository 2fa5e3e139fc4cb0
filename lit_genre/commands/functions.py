"""The commands that are functions: their signatures and docstrings are their options and their help (jsonargparse)."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from lit_genre.cli.parsing.configs import find_config

FUNCTIONS: Final = {
    "prepare": "lit_genre.prepare.command:prepare",
    "compare": "lit_genre.compare.command:compare",
    "demo": "lit_genre.demo.write:write_demo",
    "new-backbone": "lit_genre.scaffold.command:new_backbone",
}

_EXAMPLES: Final = {
    "prepare": ("prepare --subset small --root data", "prepare --subset medium --base_url /mnt/archives"),
    "compare": (
        "compare --config compare",
        "compare --configs '[crnn, my_net/my_net.yaml]' --seeds '[0, 1]' --overlays '[data/demo]'",
        "compare --report_only --runs '[runs/*]' --output report",
    ),
    "demo": ("demo --root data/demo",),
    "new-backbone": ("new-backbone MyNet", "new-backbone MyNet --output plugins"),
}


class _HelpFormatter(DefaultHelpFormatter):
    """The layout of jsonargparse's help with the texts of the other commands."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = (action.help or "").rstrip(".")
        has_default = action.default not in (None, argparse.SUPPRESS) and action.option_strings
        return f"{text} (default: %(default)s)" if has_default else text

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


def parser(name: str) -> ArgumentParser:
    """Return the parser of a command.

    Args:
        name: A key of `FUNCTIONS`.
    """
    target = _function(name)
    parser = ArgumentParser(
        prog=f"lit-genre {name}",
        description=(target.__doc__ or "").partition("\n")[0],
        epilog="\n".join(["examples:", *(f"  lit-genre {example}" for example in _EXAMPLES[name])]),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    if name == "compare":
        parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    parser.add_function_arguments(target, as_group=False, as_positional=True)
    return parser


def parse(name: str, args: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a function for a command line.

    Args:
        name: A key of `FUNCTIONS`.
        args: The arguments of the command line, without the name of the command.
    """
    words = _spell_out_flags(_function(name), _find_configs(list(args)))
    return {key: value for key, value in vars(parser(name).parse_args(words)).items() if key != "config"}


def run(name: str, args: Sequence[str]) -> None:
    """Run a command.

    Args:
        name: A key of `FUNCTIONS`.
        args: The arguments of the command line, without the name of the command.
    """
    _function(name)(**parse(name, args))


def _function(name: str) -> Callable[..., Any]:
    module, _, function = FUNCTIONS[name].partition(":")
    target: Callable[..., Any] = getattr(import_module(module), function)
    return target


def _find_configs(words: list[str]) -> list[str]:
    """Replace the name of a shipped configuration after --config by its path."""
    found = [find_config(word) if before == "--config" else word for before, word in pairwise(["", *words])]
    return [f"--config={find_config(word[9:])}" if word.startswith("--config=") else word for word in found]


def _spell_out_flags(function: Callable[..., object], words: list[str]) -> list[str]:
    """Replace --flag by --flag=true: jsonargparse needs a value."""
    flags = {f"--{name}" for name, kind in function.__annotations__.items() if kind is bool}
    # The word after a flag may be its value: --report_only true.
    return [
        f"{word}=true" if word in flags and following not in ("true", "false") else word
        for word, following in pairwise([*words, ""])
    ]


prepare = partial(run, "prepare")
compare = partial(run, "compare")
demo = partial(run, "demo")
new_backbone = partial(run, "new-backbone")
