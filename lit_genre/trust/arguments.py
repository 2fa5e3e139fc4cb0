"""Decides which values a file may give to a class that it may name: plain data, and no place outside its own."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import ModuleType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from lit_genre.errors import LitGenreError
from lit_genre.trust.classes import Source, find_class
from lit_genre.trust.plain import texts_of

_PLACE_NAME: Final = re.compile(
    r"(^|_)(dir|path|root|uri|url|host|server|location|folder|file|csv|exclude|directory|address)s?($|_)|dir$|path$"
)
"""Names of arguments whose text is a file, a folder or an address, whatever their annotation is."""

_ESCAPES: Final = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\~]|^[A-Za-z]:|://|\0")
"""Text that, taken for the name of a file, leads out of the folder that it is meant for, or is an address."""


_PASSED_ON: Final = frozenset(("callbacks", "logger", "plugins", "strategy", "profiler"))
"""Parts whose classes pass further arguments on to other programs, where nothing checks them."""


def check_description(description: Any, part: str, source: Source) -> dict[str, Any]:
    """Check what a file describes as a class and its arguments.

    Args:
        description: `{"class_path": ..., "init_args": {...}}`.
        part: Where it stands; see `lit_genre.trust.classes.find_class`.
        source: The file.

    Returns:
        The description.

    Raises:
        LitGenreError: The file may not name this class, or may not give it these arguments.
    """
    if not isinstance(description, dict) or not isinstance(description.get("class_path"), str):
        raise LitGenreError(
            f"{source.path} asks to import {description!r} as {part}: expected is a class_path with init_args. Add "
            "--trust (in Python: trust=True) if you trust whoever made the file: importing runs its code."
        )
    found = find_class(description["class_path"], part, source)
    # Only a data module may have arguments that its class does not spell out.
    known = {"class_path", "init_args", *(["dict_kwargs"] if part == "data" else [])}
    given = [description.get(name) or {} for name in sorted(known - {"class_path"})]
    if description.keys() - known or not all(isinstance(arguments, dict) for arguments in given):
        raise _refused(description["class_path"], "its description", "has other parts than init_args", source)
    init_args = {name: value for arguments in given for name, value in arguments.items()}
    if found is not None:
        declared, accepted = parameters_of(found), source.named | source.own
        undeclared = [name for name, value in init_args.items() if name not in declared and texts_of(value) - accepted]
        if undeclared and part in _PASSED_ON:
            raise _refused(
                description["class_path"], ", ".join(sorted(undeclared)), "is no argument of its own", source
            )
        _check_arguments(found, description["class_path"], init_args, source)
    return description


def places(found: Any, init_args: Mapping[str, Any]) -> dict[str, Any]:
    """Select the arguments that name files, folders or addresses, and differ from the default of their class."""
    parameters, hints = parameters_of(found), _hints_of(found)
    return {
        name: value
        for name, value in init_args.items()
        if isinstance(value, str | list | tuple | dict)
        and _is_place(name, hints.get(name))
        and not (name in parameters and _same(value, parameters[name].default))
    }


def parameters_of(found: Any) -> dict[str, inspect.Parameter]:
    """List the named parameters of a class, those that it passes on to its parents by `**` included."""
    parameters: dict[str, inspect.Parameter] = {}
    for part in inspect.getmro(found) if inspect.isclass(found) else (found,):
        if part is object:
            break
        try:
            signature = inspect.signature(part)
        except (TypeError, ValueError):
            continue
        for parameter in signature.parameters.values():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                parameters.setdefault(parameter.name, parameter)
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            break
    return parameters


def _check_arguments(found: Any, class_path: str, init_args: Mapping[str, Any], source: Source) -> None:
    parameters, hints = parameters_of(found), _hints_of(found)
    forbidden, accepted = places(found, init_args), source.named | source.own
    unsafe: Callable[[Mapping[str, Any]], dict[str, str]] = getattr(found, "unsafe_args", lambda _: {})
    for name, reason in unsafe(init_args).items():
        value = init_args.get(name)
        if not (isinstance(value, str) and value in accepted):
            raise _refused(class_path, name, reason, source)
    # A class that says which of its arguments are unsafe has judged the others.
    is_judged = "unsafe_args" in vars(found)
    for name, value in init_args.items():
        if not isinstance(name, str):
            raise _refused(class_path, str(name), "is no argument", source)
        is_default = name in parameters and _same(value, parameters[name].default)
        texts = texts_of(value)
        if is_default or (texts and texts <= accepted and not isinstance(value, dict)):
            continue
        if name in forbidden:
            raise _refused(class_path, name, f"names a place, {value!r}", source)
        if _holds_class(value):
            raise _refused(class_path, name, "describes a class", source)
        if not _admits(value, hints.get(name, parameters[name].annotation if name in parameters else Any)):
            raise _refused(class_path, name, f"is {value!r}, which that argument may take for code", source)
        if not is_judged and (escaping := [text for text in texts if _ESCAPES.search(text)]):
            raise _refused(class_path, name, f"is {escaping[0]!r}, which may be taken for a place elsewhere", source)


def _refused(class_path: str, name: str, reason: str, source: Source) -> LitGenreError:
    return LitGenreError(
        f"{source.path} gives {class_path} more than plain data: {name} {reason}. If you trust whoever made the "
        "file, for this may run code or reach other files, add --trust (in Python: trust=True)."
    )


def _hints_of(found: Any) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for part in reversed(inspect.getmro(found) if inspect.isclass(found) else (found,)):
        try:
            hints |= get_type_hints(part.__init__ if inspect.isclass(part) else part)
        except Exception:  # An annotation of another package may not be evaluable: the text alone is then judged.
            continue
    return hints


def _is_place(name: str, hint: Any) -> bool:
    return _PLACE_NAME.search(name) is not None or any(
        isinstance(kind, type) and issubclass(kind, PurePath) for kind in _kinds(hint)
    )


def _kinds(hint: Any) -> list[Any]:
    """List the types that an annotation is made of: `list[Path] | None` is list, Path and None."""
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
    """Check that jsonargparse takes a value for data: text could also be an import path or a file to read.

    An annotation that could not be evaluated may mean anything, and admits no text.
    """
    kinds = _kinds(hint)
    if any(kind in (type, ModuleType, _CALLABLE) for kind in kinds) and texts_of(value):
        return False
    anything = any(kind in (Any, inspect.Parameter.empty) for kind in kinds)
    if isinstance(value, dict) and not (anything or any(_is_kind(kind, Mapping) for kind in kinds)):
        return False
    return anything or not texts_of(value) or any(_is_kind(kind, str | PurePath) for kind in kinds)


def _is_kind(kind: Any, base: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


_CALLABLE: Final = get_origin(Callable[[], None])


def _holds_class(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or any(map(_holds_class, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_class, value))


def _same(value: Any, default: Any) -> bool:
    """Compare with a default, which may be a Path or a tuple where a file has text or a list."""
    if isinstance(default, Path):
        return isinstance(value, str) and Path(value) == default
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and list(value) == list(default)
    return type(value) is type(default) and bool(value == default)
