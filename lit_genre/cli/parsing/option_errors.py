"""Turn an error of jsonargparse about an option into one message: the option, the value, and the valid values."""

import difflib
import inspect
import re
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final

from lit_genre.class_path import import_class
from lit_genre.cli.parsing.configs import shipped_configs
from lit_genre.entry_points import Plugin, list_known

# The texts of jsonargparse 4.50 to 4.53. An error that none of these matches is printed as it is.
REQUIRED: Final = re.compile(r"arguments are required: (\w+)\.([\w.]+)")
_UNRECOGNIZED: Final = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
_KEY_IN_CONFIG: Final = re.compile(r"does not accept option '([\w.]+)'")
_NO_FILE: Final = re.compile(r"Parser key \"config\": File does not exist: '(.*)'")
_KEY: Final = re.compile(r'Parser key "([\w.+]+)":')
_UNKNOWN_ARGUMENT: Final = re.compile(r"Option '(\w+)' is not accepted")
_CLASS_PATH: Final = re.compile(r"class_path[= ]'([\w.]+)'")
_NOT_A_CLASS: Final = re.compile(r"Expected a dot import path string: (.*)")
_NO_SUCH_CLASS: Final = re.compile(
    r"Problem with given class_path '([\w.]+)':\s+(No module named .*|module .* has no .*)"
)
_LITERAL: Final = re.compile(r"Expected a typing\.Literal\[(.*?)\](?:\. |\n|$)")
_TYPE: Final = re.compile(r"Expected a (?:<class '([\w.]+)'>|(Path\w*|path)\b)")
_VALUE: Final = re.compile(r"(?:Got|Given) value: (.*?)(?:\. Got value: .*)?$", re.MULTILINE)
_NESTED: Final = re.compile(r"NestedArg\(key='(\w+)', val='(.*)'\)")

_TYPES: Final = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list, such as [1,2]",
    "collections.abc.Sequence": "a list, such as [1,2]",
    "dict": "a mapping",
    "NoneType": "null",
}
"""Types in the words of a user."""

_LISTED: Final = 12
"""Longest list of names that a message prints if none is similar."""


def explain(message: str, options: list[str], plugins: Mapping[str, Mapping[str, Plugin]]) -> str:
    """Return one message for an error of jsonargparse.

    Args:
        message: Message of jsonargparse.
        options: All options of the command, without dashes.
        plugins: Installed plugins that an option accepts, by option.

    Returns:
        The message for the user; the argument itself if its kind is unknown.
    """
    if match := REQUIRED.search(message):
        hint = " Add a configuration, such as --config crnn, or the name of a backbone." * (
            match[2] == "model.backbone"
        )
        return f"--{match[2]} is missing.{hint}"
    if match := _UNRECOGNIZED.search(message):
        return _explain_unrecognized(match[1].strip(), options)
    # From the most specific text to the most general one.
    if match := _NO_FILE.search(message):
        return f"--config={match[1]}: there is no such file. Shipped configurations: {', '.join(shipped_configs())}."
    if match := _KEY_IN_CONFIG.search(message):
        return f"{match[1]} in a configuration: there is no such option.{_suggest(match[1], options)}"
    keys = [key for key in _KEY.findall(message) if key != "config"]
    if not keys:
        return message
    # The keys of an argument of a class: that of the class, then that of the argument.
    option = ".".join(dict.fromkeys(keys))
    class_path = (_CLASS_PATH.findall(message) or [""])[-1]
    if match := _UNKNOWN_ARGUMENT.search(message):
        name = class_path.rpartition(".")[2] or "The class"
        return f"--{option}.{match[1]}: {name} has no such argument.{_suggest(match[1], _arguments_of(class_path))}"
    expected = _expected(_innermost(message))
    if expected is None and (match := _NO_SUCH_CLASS.search(message)):
        return f"--{option}={match[1]}: the class cannot be imported: {match[2].strip()}."
    if (match := _NOT_A_CLASS.search(message)) and (expected is None or "list" in expected):
        known = plugins.get(option)
        if known is None:
            return f"--{option}={match[1]}: there is no such class.{_CLASS_HINT}"
        names = [plugin.name for plugin in known.values() if plugin.loaded]
        return (
            f"--{option}={match[1]}: there is no such class.{_suggest(match[1], names)}\n{list_known(known, 'Known:')}"
        )
    return message if expected is None else f"--{option}={_value(message)}: must be {expected}."


_CLASS_HINT: Final = " Use the class path of an installed class, such as torch.optim.SGD."


def _explain_unrecognized(text: str, options: list[str]) -> str:
    option = text.split()[0].partition("=")[0]
    if not option.startswith("-"):
        return f"{text}: unexpected argument. Options begin with --."
    return f"{option}: there is no such option.{_suggest(option.lstrip('-'), options)}"


def _expected(message: str) -> str | None:
    """Return what a value must be; None if the message names no plain type."""
    if literals := _LITERAL.findall(message):
        choices = list(dict.fromkeys(choice.strip(" '") for literal in literals for choice in literal.split(",")))
    else:
        types = [plain or path for plain, path in _TYPE.findall(message)]
        choices = [_TYPES[name] for name in dict.fromkeys(types) if name in _TYPES]
        # A class is expected: only null is a plain value of it.
        if not set(choices) - {"null"}:
            return None
        return " or ".join(choices)
    nullable = ["null"] if "<class 'NoneType'>" in message and "Literal" in message.rpartition("Subtypes")[2] else []
    names: list[str] = [*choices, *nullable]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _innermost(message: str) -> str:
    """Return the part of a message about the argument of a class; the whole message if there is no class."""
    lines = message.splitlines()
    start = next((number for number, line in enumerate(lines) if "Problem with given class_path" in line), None)
    if start is None:
        return message
    # What follows with a smaller indentation is about other types than the class, such as null.
    indent = len(lines[start]) - len(lines[start].lstrip())
    inner = takewhile(lambda line: len(line) - len(line.lstrip()) > indent, lines[start + 1 :])
    return "\n".join(inner) or message


def _value(message: str) -> str:
    match = _NESTED.search(message)
    if match:
        return match[2]
    values: list[str] = _VALUE.findall(message)
    return values[0] if values else "?"


def _suggest(name: str, known: list[str]) -> str:
    """Return a question with similar names, or with all if there are few."""
    close = difflib.get_close_matches(name, known) or (known if len(known) <= _LISTED else [])
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _arguments_of(class_path: str) -> list[str]:
    """Return the names of the arguments of a class and, as it may pass **kwargs on, of its base classes."""
    try:
        found: Any = import_class(class_path)
    except (AttributeError, ImportError, ValueError):
        return []
    parts = inspect.getmro(found) if inspect.isclass(found) else [found]
    arguments = [argument for part in parts for argument in inspect.signature(part).parameters.values()]
    return list({argument.name: None for argument in arguments if argument.kind is not argument.VAR_KEYWORD})
