"""Read the arguments of a class from its source text, without importing torch for a page of help."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Argument(NamedTuple):
    """An argument of a class.

    Attributes:
        help: First sentence of its description.
        default: Its default as source text; "" if it has none.
    """

    help: str
    default: str


def read_summary(class_path: str) -> str:
    """Return the first line of the docstring of a class.

    Args:
        class_path: Module and name, joined by a dot or a colon.
    """
    return (ast.get_docstring(_find_class(class_path)) or "").partition("\n")[0]


def read_arguments(class_path: str) -> dict[str, Argument]:
    """Return the arguments that the docstring of a class describes.

    Args:
        class_path: Module and name, joined by a dot or a colon.

    Returns:
        The arguments by name.
    """
    node = _find_class(class_path)
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", (ast.get_docstring(node) or "") + "\n", re.MULTILINE)
    # An argument is indented by 4 spaces, the following lines of its description by 8.
    described = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    defaults = _defaults(node)
    return {name: Argument(_first_sentence(text), defaults.get(name, "")) for name, text in described}


def _first_sentence(text: str) -> str:
    joined = " ".join(text.split())
    # What null means is a detail that the full help has.
    return re.split(r"(?<=[^.])\.(?= [A-Z\"]|$)|; null", joined)[0]


def _defaults(node: ast.ClassDef) -> dict[str, str]:
    constructors = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
    if not constructors:
        return {}
    arguments = constructors[0].args
    with_default = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    return {argument.arg: ast.unparse(value) for argument, value in zip(with_default, arguments.defaults, strict=True)}


def _find_class(class_path: str) -> ast.ClassDef:
    module, _, name = class_path.replace(":", ".").rpartition(".")
    (node,) = (part for part in _parse(module).body if isinstance(part, ast.ClassDef) and part.name == name)
    return node


@cache
def _parse(module: str) -> ast.Module:
    # find_spec imports the packages around a module, which are empty but for their docstrings.
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
