"""Check the configuration of a run folder that another person may have written: its classes, values and paths."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lit_genre.errors import LitGenreError
from lit_genre.trust.arguments import check_description, path_arguments
from lit_genre.trust.classes import Source, find_class

UNNAMED: Final = "<a path that only the file names>"
"""Replacement for a path in a file of another account; the user has to pass the path as an option."""

SECTIONS: Final = ("seed_everything", "trainer", "model", "data", "select_by", "without_callbacks")
"""Sections of a configuration that a file may set. Others, such as weights_only, are ignored."""

_LISTS: Final = ("callbacks", "logger", "plugins")
_SINGLE: Final = ("strategy", "profiler")
_WORD: Final = re.compile(r"[\w:,+-]*")
"""Text such as bf16-mixed, 0,1 or 00:12:00:00. It has no dots, as class paths have, and no slashes, as paths have."""

_IGNORED: Final = frozenset(("default_root_dir", "model_registry"))
"""Options of the trainer that choose a folder or a registry to write to."""

_MODEL_PARTS: Final = ("backbone", "frontend", "loss", "optimizer", "scheduler")


def check_recipe(recipe: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return the part of a run's configuration that a file may set.

    Paths of the data (`root`, `csv`, `store_root`, `exclude`, ...) are replaced by `UNNAMED` unless this account wrote
    the configuration, or the user has passed the same path in this call.

    Args:
        recipe: Sections of config.yaml, plain data.
        source: The file.

    Returns:
        Those of the sections that are in `SECTIONS`, by name.

    Raises:
        LitGenreError: The file names a class or a value that it may not name, or is damaged.
    """
    taken = {name: value for name, value in recipe.items() if name in SECTIONS}
    for name, check in {"model": _check_model, "data": _check_data, "trainer": _check_trainer}.items():
        if name in taken and not isinstance(taken[name], dict):
            raise LitGenreError(f"{source.path} is damaged: {name} is {taken[name]!r}, not a mapping.")
        if name in taken:
            taken[name] = check(taken[name], source)
    _check_value("without_callbacks", taken.get("without_callbacks"), source)
    # True is an integer, too: Lightning then draws a seed.
    seed, select_by = taken.get("seed_everything"), taken.get("select_by")
    if not (seed is None or isinstance(seed, int)) or not (select_by is None or isinstance(select_by, str)):
        raise LitGenreError(f"{source.path} is damaged: seed_everything is {seed!r}, select_by {select_by!r}.")
    return taken


def unnamed_paths(arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of the arguments that need a path from the user.

    Args:
        arguments: Arguments of the data module by name, as `check_recipe` returns them.

    Returns:
        Names of the arguments with `UNNAMED`.
    """
    return [
        name for name, value in arguments.items() if UNNAMED in map(str, value if isinstance(value, list) else [value])
    ]


def _check_model(model: dict[str, Any], source: Source) -> dict[str, Any]:
    for part in _MODEL_PARTS:
        if model.get(part) is not None:
            check_description(model[part], part, source)
    augment = model.get("augment") or []
    if not isinstance(augment, list):
        raise LitGenreError(f"{source.path} is damaged: model.augment is {augment!r}, not a list.")
    for description in augment:
        check_description(description, "augment", source)
    for name, value in model.items():
        if name not in (*_MODEL_PARTS, "augment"):
            _check_value(f"model.{name}", value, source)
    return model


def _check_data(data: dict[str, Any], source: Source) -> dict[str, Any]:
    data_class = find_class(str(data.get("class_path")), "data", source)
    arguments = data.get("init_args") or {}
    if not isinstance(arguments, dict):
        raise LitGenreError(f"{source.path} is damaged: data.init_args is {arguments!r}, not a mapping.")
    if data_class is not None:
        accepted = source.named | source.own
        for name, value in path_arguments(data_class, arguments).items():
            texts = value if isinstance(value, list) else [value]
            if not all(isinstance(text, str) and text in accepted for text in texts):
                arguments = {**arguments, name: [UNNAMED] if isinstance(value, list) else UNNAMED}
    described = {**data, "init_args": arguments}
    # UNNAMED is accepted here; `lit_genre.cli.restore.check_places` later requires the path as an option.
    return check_description(described, "data", replace(source, own=source.own | {UNNAMED}))


def _check_trainer(trainer: dict[str, Any], source: Source) -> dict[str, Any]:
    taken = {name: value for name, value in trainer.items() if name not in _IGNORED}
    for name, value in taken.items():
        # `logger: true` is the default logger of Lightning, and describes no class.
        if name in _LISTS and not isinstance(value, bool | None):
            for description in value if isinstance(value, list) else [value]:
                check_description(description, name, source)
        elif name in _SINGLE and isinstance(value, dict):
            check_description(value, name, source)
        else:
            _check_value(f"trainer.{name}", value, source)
    return taken


def _check_value(name: str, value: Any, source: Source) -> None:
    """Refuse values other than numbers, words and lists of them: jsonargparse reads other text as files or classes."""
    if isinstance(value, list):
        for item in value:
            _check_value(name, item, source)
    # True and False are integers in Python. Names of classes may be any text, because they are never read as paths.
    elif not (value is None or isinstance(value, int | float)) and not (
        isinstance(value, str) and (name == "model.classes" or _WORD.fullmatch(value))
    ):
        raise LitGenreError(
            f"{source.path} sets {name} to {value!r}, which a file may not do. If you trust the author of the file, "
            "add --trust."
        )
