"""Decides which classes a file may name, place by place; no module is imported to find out."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_genre.backbones.registry import backbones
from lit_genre.data.datamodules.registry import datamodules
from lit_genre.errors import LitGenreError
from lit_genre.model.augment import Augmentation
from lit_genre.model.backbone import Backbone
from lit_genre.model.frontend import LogMel

_FROM_LIGHTNING: Final = ("callbacks", "loggers", "strategies", "profilers", "plugins")
"""Packages in lightning.pytorch whose classes a trainer's configuration names."""


@dataclass(frozen=True)
class Source:
    """Where a description comes from, and what the user has said about it.

    Attributes:
        path: The file.
        named: Texts that the user wrote in this call: a class path among them may be imported.
        own: Texts in a configuration that this account wrote: as values they may name files and folders.
    """

    path: Path
    named: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


def find_class(class_path: str, part: str, source: Source) -> Any | None:
    """Find the class, or the function, that a file names.

    Args:
        class_path: What the file names, such as `torch.optim.Adam`.
        part: Where: `model`, `backbone`, `frontend`, `augment`, `loss`, `optimizer`, `scheduler`, `data`,
            `callbacks`, `logger`, `plugins`, `strategy` or `profiler`.
        source: The file.

    Returns:
        The class; None for one that only the user's own words name, which is not imported here.

    Raises:
        LitGenreError: A file may not name it there.
    """
    module, _, name = class_path.rpartition(".")
    # Plugins, torch and Lightning have been imported; apart from lit-genre's own modules, nothing else is.
    if module.startswith("lit_genre."):
        with suppress(ImportError):
            import_module(module)
    found = getattr(sys.modules.get(module), name, None) if _may_hold(module) else None
    if found is not None and _PARTS[part](found):
        return found
    if class_path in source.named:
        return None
    raise LitGenreError(
        f"{source.path} asks to import {class_path} as {part}, which is neither part of an installed plugin nor of "
        "lit-genre, Lightning or torch: install the package that it belongs to. Or, if you trust whoever made the "
        "file, add --trust (in Python: trust=True): importing runs its code."
    )


def _may_hold(module: str) -> bool:
    """Check that a class path of a file may lie in a module."""
    inside = ("lit_genre", "torch.optim", "torch.nn", *_lightning_packages())
    return module in _plugin_modules() or any(module == name or module.startswith(f"{name}.") for name in inside)


@cache
def _lightning_packages() -> tuple[str, ...]:
    names = tuple(f"lightning.pytorch.{name}" for name in (*_FROM_LIGHTNING, "cli"))
    for name in names:
        import_module(name)
    return names


@cache
def _plugin_modules() -> frozenset[str]:
    plugins = (*backbones().values(), *datamodules().values())
    return frozenset(plugin.loaded.__module__ for plugin in plugins if plugin.loaded is not None)


def _is_backbone(found: Any) -> bool:
    return any(plugin.loaded is found for plugin in backbones().values()) and issubclass(found, Backbone)


def _is_frontend(found: Any) -> bool:
    # A plugin may define the front-end of its backbone in the same module.
    beside = isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ in _plugin_modules()
    return found in (LogMel, nn.Identity) or beside


def _subclass_of(base: type, *inside: str) -> Callable[[Any], bool]:
    """Check for a subclass that is defined in one of some packages, or in the module of a plugin."""

    def check(found: Any) -> bool:
        if not (isinstance(found, type) and issubclass(found, base)):
            return False
        module = found.__module__
        return module in _plugin_modules() or any(module == name or module.startswith(f"{name}.") for name in inside)

    return check


def _is_data(found: Any) -> bool:
    from lightning.pytorch import LightningDataModule

    return _subclass_of(LightningDataModule, "lit_genre")(found)


def _is_loss(found: Any) -> bool:
    from lit_genre.model.losses import Loss

    return _subclass_of(Loss, "lit_genre")(found)


def _is_model(found: Any) -> bool:
    from lit_genre.model.classifier import GenreClassifier

    return _subclass_of(GenreClassifier, "lit_genre")(found)


def _is_callback(found: Any) -> bool:
    from lightning.pytorch import Callback

    return _subclass_of(Callback, "lit_genre", "lightning.pytorch.callbacks")(found)


def _is_logger(found: Any) -> bool:
    from lightning.pytorch.loggers import Logger

    from lit_genre.loggers.wandb import wandb_logger

    return found is wandb_logger or _subclass_of(Logger, "lit_genre", "lightning.pytorch.loggers")(found)


def _is_trainer_part(found: Any) -> bool:
    """Check for a class of Lightning's, or of ours, that a trainer takes as plugin, strategy or profiler."""
    packages = ("lit_genre", *(f"lightning.pytorch.{name}" for name in _FROM_LIGHTNING), "lightning.fabric.plugins")
    return _subclass_of(object, *packages)(found)


_PARTS: Final[dict[str, Callable[[Any], bool]]] = {
    "backbone": _is_backbone,
    "frontend": _is_frontend,
    "augment": _subclass_of(Augmentation, "lit_genre"),
    "loss": _is_loss,
    "optimizer": _subclass_of(Optimizer, "torch.optim"),
    "scheduler": lambda found: (
        _subclass_of(LRScheduler, "torch.optim", "lit_genre")(found)
        or _subclass_of(ReduceLROnPlateau, "torch.optim", "lightning.pytorch.cli")(found)
    ),
    "data": _is_data,
    "model": _is_model,
    "callbacks": _is_callback,
    "logger": _is_logger,
    "plugins": _is_trainer_part,
    "strategy": _is_trainer_part,
    "profiler": _is_trainer_part,
}
