"""Add the default callbacks to those of a configuration."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import yaml
from jsonargparse import Namespace, dict_to_namespace

from lit_genre.errors import LitGenreError


def with_default_callbacks(callbacks: Any, without: Sequence[str]) -> list[Any]:
    """Add the callbacks of defaults.yaml that a configuration lacks, before its own.

    Lightning replaces the whole list by the user's list, so that best.ckpt and metrics.csv would be missing.

    Args:
        callbacks: `trainer.callbacks` of the configuration: a description, a list of descriptions, or None.
        without: Names of defaults to leave out: a class, or the `filename` of a checkpoint (`best`, `last`).

    Returns:
        The callbacks, defaults first.

    Raises:
        LitGenreError: A name is not one of the defaults.
    """
    given = callbacks if isinstance(callbacks, list) else [] if callbacks is None else [callbacks]
    defaults = {_name_of(described): described for described in _defaults()}
    if unknown := [name for name in without if name not in defaults]:
        raise LitGenreError(
            f"without_callbacks names {', '.join(unknown)}, but the callbacks that every run has are "
            f"{', '.join(defaults)}."
        )
    present = {_name_of(described) for described in given}
    missing = [described for name, described in defaults.items() if name not in present and name not in without]
    return [*missing, *(described for described in given if _name_of(described) not in without)]


def _defaults() -> list[Namespace]:
    text = (files("lit_genre.cli") / "defaults.yaml").read_text(encoding="utf-8")
    return [
        dict_to_namespace({"init_args": {}, **described}) for described in yaml.safe_load(text)["trainer"]["callbacks"]
    ]


def _name_of(described: Any) -> str:
    filename = (getattr(described, "init_args", None) or {}).get("filename")
    # There may be several checkpoint callbacks of one class; their file names differ.
    return str(filename or str(getattr(described, "class_path", described)).rpartition(".")[2])
