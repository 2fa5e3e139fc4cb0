"""Read YAML and JSON files that another person may have written, as plain data of bounded size."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

import yaml

from lit_genre.errors import LitGenreError

MAX_BYTES: Final = 16_000_000
"""Largest file that is read, bytes. A configuration has some kilobytes, with a large pretrained encoder under 1 MB."""

_MAX_VALUES: Final = 200_000
"""Most values in a file. With YAML aliases, a file of one kilobyte can have billions of values."""

_MAX_DEPTH: Final = 60
"""Most levels of lists and mappings; a configuration has about 10, and Python's recursion ends at 1000."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without merge keys, which a small file can use to fill the memory.

    PyYAML's loader in C is not used: it crashes the process at a deeply nested file.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not accepted", key.start_mark)


def read_text(path: Path) -> str:
    """Read a small UTF-8 text file.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        LitGenreError: It is not a regular file, larger than `MAX_BYTES`, or not UTF-8.
        OSError: It cannot be opened.
    """
    status = path.stat()
    # Reading a pipe or a device might never end.
    if not S_ISREG(status.st_mode):
        raise LitGenreError(f"{path} is not a regular file: delete it, or leave this folder out.")
    if status.st_size > MAX_BYTES:
        raise LitGenreError(
            f"{path} has {status.st_size:,} bytes, more than the {MAX_BYTES:,} that are read of such a file."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LitGenreError(f"{path} is damaged: it is not UTF-8 text ({error.reason}).") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping; tags that create Python objects are refused.

    Args:
        path: The file.

    Returns:
        Plain data by name.

    Raises:
        LitGenreError: The file is damaged, too large, or not a mapping of plain data.
        OSError: It cannot be opened.
    """
    try:
        content = yaml.load(read_text(path), _Loader)
    # RecursionError: PyYAML and json read nested lists recursively, before `check_plain` can count the levels.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LitGenreError(f"{path} is damaged: {_reason(error)}") from error
    return check_mapping(content, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object.

    Args:
        path: The file.

    Returns:
        Plain data by name.

    Raises:
        LitGenreError: The file is damaged, too large, or not a mapping of plain data.
        OSError: It cannot be opened.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise LitGenreError(f"{path} is damaged: {_reason(error)}") from error
    return check_mapping(content, path)


def check_mapping(content: Any, subject: object) -> dict[str, Any]:
    """Check that a value is a mapping of names to plain data of bounded size.

    Args:
        content: The value.
        subject: Subject of the error message, such as the path of the file.

    Returns:
        The same value.

    Raises:
        LitGenreError: It is not a mapping, or `check_plain` refuses it.
    """
    if not isinstance(content, dict):
        raise LitGenreError(f"{subject} is damaged: it contains {_kind(content)}, not a mapping.")
    check_plain(content, subject)
    return content


def check_plain(content: Any, subject: object) -> None:
    """Check that a value is plain data: numbers, text, true, false, null, and lists and mappings of these.

    Args:
        content: The value.
        subject: Subject of the error message, such as the path of the file.

    Raises:
        LitGenreError: It contains other data, or too many values or levels.
    """
    # A list instead of recursion: deeply nested data must not raise a RecursionError.
    waiting: list[tuple[Any, int]] = [(content, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        # A value with several YAML aliases counts once for each of them.
        count += 1
        if count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise LitGenreError(
                f"{subject} is damaged: it has more than {_MAX_VALUES:,} values, or more than {_MAX_DEPTH} levels."
            )
        if isinstance(value, dict):
            for name in value:
                # Lightning's GradientAccumulationScheduler has a mapping with epochs, integers, as keys.
                if not isinstance(name, str) and type(name) is not int:
                    raise LitGenreError(f"{subject} is damaged: it has {_kind(name)} where a name is expected.")
            waiting += ((item, depth + 1) for item in value.values())
        elif isinstance(value, list | tuple):
            waiting += ((item, depth + 1) for item in value)
        elif value is not None and not isinstance(value, str | bool | int | float):
            raise LitGenreError(f"{subject} is damaged: it contains {_kind(value)}, not a number, text or list.")


def text_values(content: Any) -> set[str]:
    """Return all text values of plain data, also in its lists and mappings.

    Args:
        content: Plain data.

    Returns:
        The texts, without the keys of mappings.
    """
    if isinstance(content, dict):
        return text_values(list(content.values()))
    if isinstance(content, list | tuple):
        return set().union(*map(text_values, content)) if content else set()
    return {content} if isinstance(content, str) else set()


def check_links(folder: Path, paths: Iterable[Path]) -> None:
    """Check that no path in a folder is a link out of it: an archive can contain such links.

    Args:
        folder: The folder.
        paths: Paths in it that are read or written; a path that does not exist is accepted.

    Raises:
        LitGenreError: One of the paths is a link out of the folder, or is neither a regular file nor a folder.
    """
    inside = folder.resolve()
    for path in paths:
        # `exists` alone is False for a link to a missing file, to which this package could write.
        if not (path.is_symlink() or path.exists()):
            continue
        if not path.resolve().is_relative_to(inside):
            raise LitGenreError(
                f"{path} is a link to {path.resolve()}, outside {folder}: replace it by the file itself, or, if "
                "you made it, add --trust."
            )
        # A pipe, for example: opening it would wait for ever.
        if not (path.is_dir() or path.is_file()):
            raise LitGenreError(f"{path} is neither a file nor a folder: delete it.")


def is_finite_number(value: Any) -> bool:
    """Check that a value is a finite int or float, and not True or False.

    Args:
        value: Any value.

    Returns:
        Whether it is; False for infinity and NaN.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return " ".join(text.split()) if text else type(error).__name__


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
