"""Check the values that a file gives to a class: plain data, and no files or addresses of its choice."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import ModuleType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from lit_genre.backbones.joined import JoinedBackbones, read_parts
from lit_genre.errors import LitGenreError
from lit_genre.trust.classes import Source, find_class
from lit_genre.trust.plain import text_values

_PATH_NAME: Final = re.compile(
    r"(^|_)(dir|path|root|uri|url|host|server|location|folder|file|csv|exclude|directory|address)s?($|_)|dir$|path$"
)
"""Names of arguments with a file, a folder or an address as text, whatever their annotation is."""

_ESCAPES: Final = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\~]|^[A-Za-z]:|://|\0")
"""Text that is an address, or a path that can lead out of its folder: absolute, with `..`, `~`, a drive or a NUL."""

_PASSED_ON: Final = frozenset(("callbacks", "logger", "plugins", "strategy", "profiler"))
"""Parts with classes that pass undeclared arguments on to other libraries, where nothing checks them."""

_CALLABLE: Final = get_origin(Callable[[], None])
"""The type that `get_origin` returns for an annotation such as `Callable[[int], str]`."""


def check_description(description: Any, part: str, source: Source) -> dict[str, Any]:
    """Check a class and its arguments, as a file describes them.

    Args:
        description: `{"class_path": ..., "init_args": {...}}`.
        part: Part of the run that the class is for; see `lit_genre.trust.classes.find_class`.
        source: The file.

    Returns:
        The same description.

    Raises:
        LitGenreError: The file may not name this class, or may not give it these arguments.
    """
    if not isinstance(description, dict) or not isinstance(description.get("class_path"), str):
        raise LitGenreError(
            f"{source.path} asks to import {description!r} as {part}: expected is a class_path with init_args. If you "
            "trust the author of the file, add --trust (in Python: trust=True): importing runs code."
        )
    class_path = description["class_path"]
    named_class = find_class(class_path, part, source)
    # Only a data module may have arguments that its class does not declare.
    known = {"class_path", "init_args", *(["dict_kwargs"] if part == "data" else [])}
    given = [description.get(name) or {} for name in sorted(known - {"class_path"})]
    if description.keys() - known or not all(isinstance(arguments, dict) for arguments in given):
        raise _refused(class_path, "its description", "has other keys than class_path and init_args", source)
    init_args = {name: value for arguments in given for name, value in arguments.items()}
    if named_class is not None:
        declared, accepted = named_parameters(named_class), source.named | source.own
        # Only text can name a file or a class; a number in an undeclared argument is harmless.
        undeclared = [
            name for name, value in init_args.items() if name not in declared and text_values(value) - accepted
        ]
        if undeclared and part in _PASSED_ON:
            raise _refused(class_path, ", ".join(sorted(undeclared)), "is not an argument that it declares", source)
        if inspect.isclass(named_class) and issubclass(named_class, JoinedBackbones) and "parts" in init_args:
            _check_parts(class_path, init_args.pop("parts"), source)
        _check_arguments(named_class, class_path, init_args, source)
    return description


def path_arguments(target: Any, init_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that name files, folders or addresses, and differ from their defaults.

    Args:
        target: The class or function.
        init_args: Its arguments by name.

    Returns:
        Those of the arguments, by name.
    """
    parameters, hints = named_parameters(target), _type_hints(target)
    return {
        name: value
        for name, value in init_args.items()
        if isinstance(value, str | list | tuple | dict)
        and _is_path(name, hints.get(name))
        and not (name in parameters and _same(value, parameters[name].default))
    }


def named_parameters(target: Any) -> dict[str, inspect.Parameter]:
    """Return the named parameters of a class, with those that it passes on to its parents by `**`.

    Args:
        target: The class or function.

    Returns:
        Parameters by name, without `*` and `**`.
    """
    # From the class to its parents, so that the nearest default counts.
    parameters: dict[str, inspect.Parameter] = {}
    for ancestor in inspect.getmro(target) if inspect.isclass(target) else (target,):
        if ancestor is object:
            break
        try:
            signature = inspect.signature(ancestor)
        except (TypeError, ValueError):  # Classes that are written in C may have no signature.
            continue
        for parameter in signature.parameters.values():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                parameters.setdefault(parameter.name, parameter)
        # Without `**`, the class accepts no other arguments of its parents.
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            break
    return parameters


def _check_arguments(target: Any, class_path: str, init_args: Mapping[str, Any], source: Source) -> None:
    parameters, hints = named_parameters(target), _type_hints(target)
    forbidden, accepted = path_arguments(target, init_args), source.named | source.own
    unsafe: Callable[[Mapping[str, Any]], dict[str, str]] = getattr(target, "unsafe_args", lambda _: {})
    for name, reason in unsafe(init_args).items():
        value = init_args.get(name)
        if not (isinstance(value, str) and value in accepted):
            raise _refused(class_path, name, reason, source)
    # A class with its own unsafe_args has named all its unsafe arguments, so other text is not checked for paths.
    # An inherited unsafe_args does not count: the subclass may have more arguments.
    declares_unsafe = "unsafe_args" in vars(target)
    for name, value in init_args.items():
        if not isinstance(name, str):
            raise _refused(class_path, str(name), "is not the name of an argument", source)
        is_default = name in parameters and _same(value, parameters[name].default)
        texts = text_values(value)
        if is_default or (texts and texts <= accepted and not isinstance(value, dict)):
            continue
        if name in forbidden:
            raise _refused(class_path, name, f"names a file, a folder or an address, {value!r}", source)
        if _holds_class(value):
            raise _refused(class_path, name, "describes a class", source)
        if not _admits(value, hints.get(name, parameters[name].annotation if name in parameters else Any)):
            raise _refused(class_path, name, f"is {value!r}, which this argument may import as code", source)
        if not declares_unsafe and (escaping := [text for text in texts if _ESCAPES.search(text)]):
            raise _refused(class_path, name, f"is {escaping[0]!r}, which may be a path outside its folder", source)


def _check_parts(class_path: str, parts: Any, source: Source) -> None:
    """Check the classes in the parts of joined backbones, and their arguments, as those of a model."""
    try:
        checked = read_parts(parts)
    except LitGenreError as error:
        raise LitGenreError(f"{source.path} is damaged: {error}") from error
    for described in checked:
        # Asked before the arguments are checked, so that parts cannot be nested a thousand levels deep.
        nested = find_class(described["backbone"]["class_path"], "backbone", source)
        if inspect.isclass(nested) and issubclass(nested, JoinedBackbones):
            raise _refused(class_path, "parts", "contains JoinedBackbones again", source)
        for name in ("backbone", "frontend"):
            check_description(described[name], name, source)


def _refused(class_path: str, name: str, reason: str, source: Source) -> LitGenreError:
    return LitGenreError(
        f"{source.path} gives {class_path} more than plain data: {name} {reason}. This may run code or reach "
        "other files. If you trust the author of the file, add --trust (in Python: trust=True)."
    )


def _type_hints(target: Any) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    # From the most distant parent to the class itself, so that the nearest annotation counts.
    for ancestor in reversed(inspect.getmro(target) if inspect.isclass(target) else (target,)):
        try:
            hints |= get_type_hints(ancestor.__init__ if inspect.isclass(ancestor) else ancestor)
        except Exception:  # An annotation of another package may fail to evaluate; then it is checked as text.
            continue
    return hints


def _is_path(name: str, hint: Any) -> bool:
    return _PATH_NAME.search(name) is not None or any(
        isinstance(kind, type) and issubclass(kind, PurePath) for kind in _kinds(hint)
    )


def _kinds(hint: Any) -> list[Any]:
    """Return the types in an annotation: list, Path and None for `list[Path] | None`."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _kinds(get_args(hint)[0])
    if origin is Literal:
        return [str]
    if origin is None:
        return [hint]
    kinds = [] if origin in (Union, UnionType) else [origin]
    return kinds + [kind for argument in get_args(hint) if argument is not ... for kind in _kinds(argument)]


def _admits(value: Any, hint: Any) -> bool:
    """Check that jsonargparse reads a value as data: it may read text as an import path or as the path of a file.

    An annotation that could not be evaluated may have any meaning, so text is refused for it.
    """
    kinds = _kinds(hint)
    if any(kind in (type, ModuleType, _CALLABLE) for kind in kinds) and text_values(value):
        return False
    anything = any(kind in (Any, inspect.Parameter.empty) for kind in kinds)
    if isinstance(value, dict) and not (anything or any(_is_kind(kind, Mapping) for kind in kinds)):
        return False
    return anything or not text_values(value) or any(_is_kind(kind, str | PurePath) for kind in kinds)


def _is_kind(kind: Any, base: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _holds_class(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or any(map(_holds_class, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_class, value))


def _same(value: Any, default: Any) -> bool:
    """Compare a value with a default: a file has text for a Path, and a list for a tuple."""
    if isinstance(default, Path):
        return isinstance(value, str) and Path(value) == default
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and list(value) == list(default)
    # The types too: True == 1, but a number must not count as the default of a switch.
    return type(value) is type(default) and bool(value == default)
