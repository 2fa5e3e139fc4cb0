"""Reads YAML, JSON and folders that may come from a stranger: plain data of bounded size, from regular files."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

import yaml

from lit_genre.errors import LitGenreError

MAX_BYTES: Final = 16_000_000
"""A configuration has some kilobytes; the description of a large pretrained encoder under a megabyte."""

_MAX_VALUES: Final = 200_000
"""YAML aliases let a file of a kilobyte stand for billions of values."""

_MAX_DEPTH: Final = 60


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without merge keys, which a small file can use to fill the memory.

    It is the one in Python: the loader in C ends the process at a file of great depth.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not accepted", key.start_mark)


def read_text(path: Path) -> str:
    """Read a small UTF-8 text file.

    Raises:
        LitGenreError: It is not a regular file, larger than `MAX_BYTES`, or not UTF-8.
        OSError: It cannot be opened.
    """
    status = path.stat()
    # A pipe or a device may never end.
    if not S_ISREG(status.st_mode):
        raise LitGenreError(f"{path} is not a regular file: delete it, or leave this folder out.")
    if status.st_size > MAX_BYTES:
        raise LitGenreError(
            f"{path} has {status.st_size:,} bytes, more than the {MAX_BYTES:,} that such a file may have."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LitGenreError(f"{path} is damaged: it is not UTF-8 text ({error.reason}).") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values, without tags of Python.

    Raises:
        LitGenreError: The file is damaged, too large, or holds something else.
    """
    try:
        content = yaml.load(read_text(path), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LitGenreError(f"{path} is damaged: {_reason(error)}") from error
    return mapping(content, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of names and values.

    Raises:
        LitGenreError: The file is damaged, too large, or holds something else.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise LitGenreError(f"{path} is damaged: {_reason(error)}") from error
    return mapping(content, path)


def mapping(content: Any, place: object) -> dict[str, Any]:
    """Return content that is a mapping of names to plain data, of bounded size.

    Raises:
        LitGenreError: It is not; the message begins with the place.
    """
    if not isinstance(content, dict):
        raise LitGenreError(f"{place} is damaged: it holds {_kind(content)}, not names with values.")
    check_plain(content, place)
    return content


def check_plain(content: Any, place: object) -> None:
    """Refuse what is not numbers, text, true, false, null, and lists and mappings of these.

    Raises:
        LitGenreError: It holds something else, or too much.
    """
    waiting: list[tuple[Any, int]] = [(content, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise LitGenreError(
                f"{place} is damaged: it holds more than {_MAX_VALUES:,} values, or more than {_MAX_DEPTH} levels."
            )
        if isinstance(value, dict):
            for name in value:
                # A schedule of Lightning maps epochs, which are numbers.
                if not isinstance(name, str) and type(name) is not int:
                    raise LitGenreError(f"{place} is damaged: {_kind(name)} stands where a name is expected.")
            waiting += ((item, depth + 1) for item in value.values())
        elif isinstance(value, list | tuple):
            waiting += ((item, depth + 1) for item in value)
        elif value is not None and not isinstance(value, str | bool | int | float):
            raise LitGenreError(f"{place} is damaged: it holds {_kind(value)}, which is neither number, text nor list.")


def texts_of(content: Any) -> set[str]:
    """Collect all text values of plain data."""
    if isinstance(content, dict):
        return texts_of(list(content.values()))
    if isinstance(content, list | tuple):
        return set().union(*map(texts_of, content)) if content else set()
    return {content} if isinstance(content, str) else set()


def check_links(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse links that lead out of a folder: an archive can hold them, and what is written would go elsewhere.

    Args:
        folder: What may be reached.
        paths: What is read or written in it.

    Raises:
        LitGenreError: One of the paths leads elsewhere, or is neither a regular file nor a folder.
    """
    inside = folder.resolve()
    for path in paths:
        if not (path.is_symlink() or path.exists()):
            continue
        if not path.resolve().is_relative_to(inside):
            raise LitGenreError(
                f"{path} is a link to {path.resolve()}, outside {folder}: replace it by the file itself, or, if "
                "you made it, add --trust."
            )
        if not (path.is_dir() or path.is_file()):
            raise LitGenreError(f"{path} is neither a file nor a folder: delete it.")


def is_finite_number(value: Any) -> bool:
    """Check for an int or a float that is neither infinite nor NaN; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return " ".join(text.split()) if text else type(error).__name__


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
