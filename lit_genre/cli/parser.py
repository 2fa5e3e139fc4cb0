"""The parser of the command line, with short errors that list the valid names."""

import difflib
import inspect
import re
from typing import Any, Final, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lit_genre.backbones.registry import known_backbones
from lit_genre.class_path import import_class
from lit_genre.text import printable

_UNKNOWN_OPTION: Final = re.compile(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)")
_UNKNOWN_ARGUMENT: Final = re.compile(r"Option '(\w+)' is not accepted.*class_path='([\w.]+)'")
_UNKNOWN_OF_CLASS: Final = re.compile(r"class_path '([\w.]+)':\s+Option '(\w+)' is not accepted")

_LISTED: Final = 12
"""Longest list of names that an error prints if none is similar."""


class GenreParser(LightningArgumentParser):
    """LightningCLI's parser, with suggestions in its errors."""

    def print_usage(self, *args: Any, **kwargs: Any) -> None:
        """Print nothing: a hundred lines of options would hide the message."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Exit with the message and the names that may have been meant."""
        parser = getattr(ex, "subcommand_parser", None) or self
        message += _alternatives(message, [action.dest for action in parser._actions])
        super().error(printable(message), ex)


def _alternatives(message: str, options: list[str]) -> str:
    if found := _UNKNOWN_ARGUMENT.search(message):
        return _close(found[1], _arguments_of(found[2]))
    if found := _UNKNOWN_OF_CLASS.search(message):
        return _close(found[2], _arguments_of(found[1]))
    if found := _UNKNOWN_OPTION.search(message):
        return _close(found[1], options)
    if "model.backbone" in message:
        return f"\n{known_backbones()}"
    return ""


def _close(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known) or (known if len(known) <= _LISTED else [])
    return f"\nDid you mean {' or '.join(close)}?" if close else ""


def _arguments_of(class_path: str) -> list[str]:
    found = import_class(class_path)
    # A class that passes **kwargs to its parent accepts the arguments of the parent.
    made_by = inspect.getmro(found) if inspect.isclass(found) else [found]
    arguments = [argument for part in made_by for argument in inspect.signature(part).parameters.values()]
    return list({argument.name: None for argument in arguments if argument.kind is not argument.VAR_KEYWORD})
