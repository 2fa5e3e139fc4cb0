"""Find the class that a file names, without importing other packages for it."""

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

from lit_genre.backbones.joined import JoinedBackbones
from lit_genre.backbones.registry import backbones
from lit_genre.data.datamodules.registry import datamodules
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone
from lit_genre.model.spectrogram.augment import Augmentation
from lit_genre.model.spectrogram.frontend import LogMel

_FROM_LIGHTNING: Final = ("callbacks", "loggers", "strategies", "profilers", "plugins")
"""Packages of lightning.pytorch: the configuration of a trainer may name the classes in them."""


@dataclass(frozen=True)
class Source:
    """A file that describes classes, with the texts that it may use.

    Attributes:
        path: The file.
        named: Texts that the user passed in this call. A class path among them may be imported.
        own: Texts of a configuration that this account wrote. They may be paths of files and folders.
    """

    path: Path
    named: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


def find_class(class_path: str, part: str, source: Source) -> Any | None:
    """Return the class, or the function, that a file names.

    Args:
        class_path: Path of the class in the file, such as `torch.optim.Adam`.
        part: Part of the run that the class is for: `model`, `backbone`, `frontend`, `augment`, `loss`, `optimizer`,
            `scheduler`, `data`, `callbacks`, `logger`, `plugins`, `strategy` or `profiler`.
        source: The file.

    Returns:
        The class; None if only the user has named it in this call, in which case it is not imported here.

    Raises:
        LitGenreError: The file may not name this class for this part.
    """
    module, _, name = class_path.rpartition(".")
    # Importing a module runs its code, so only modules of lit-genre are imported here. Plugins, torch and Lightning
    # have been imported already.
    if module.startswith("lit_genre."):
        with suppress(ImportError):
            import_module(module)
    candidate = getattr(sys.modules.get(module), name, None) if _is_allowed(module) else None
    if candidate is not None and _PARTS[part](candidate):
        return candidate
    if class_path in source.named:
        return None
    raise LitGenreError(
        f"{source.path} asks to import {class_path} as {part}, which is neither part of an installed plugin nor of "
        "lit-genre, Lightning or torch. Install the package that it belongs to. Or, if you trust the author of the "
        "file, add --trust (in Python: trust=True): importing runs code."
    )


def _is_allowed(module: str) -> bool:
    """Check whether a file may name classes of a module."""
    inside = ("lit_genre", "torch.optim", "torch.nn", *_lightning_packages())
    return module in _plugin_modules() or any(module == name or module.startswith(f"{name}.") for name in inside)


@cache
def _lightning_packages() -> tuple[str, ...]:
    # Imported here, because `find_class` finds only classes of imported modules.
    names = tuple(f"lightning.pytorch.{name}" for name in (*_FROM_LIGHTNING, "cli"))
    for name in names:
        import_module(name)
    return names


@cache
def _plugin_modules() -> frozenset[str]:
    plugins = (*backbones().values(), *datamodules().values())
    return frozenset(plugin.loaded.__module__ for plugin in plugins if plugin.loaded is not None)


def _is_backbone(candidate: Any) -> bool:
    # JoinedBackbones has no entry point, as it cannot be built without parts. `arguments` checks its parts.
    return candidate is JoinedBackbones or (
        any(plugin.loaded is candidate for plugin in backbones().values()) and issubclass(candidate, Backbone)
    )


def _is_frontend(candidate: Any) -> bool:
    # Those of this package, and those that a plugin defines in the module of its backbone.
    modules = {LogMel.__module__, *_plugin_modules()}
    return candidate is nn.Identity or (
        isinstance(candidate, type) and issubclass(candidate, nn.Module) and candidate.__module__ in modules
    )


def _subclass_of(base: type, *inside: str) -> Callable[[Any], bool]:
    """Return a check for subclasses of a class that are defined in some packages, or in the module of a plugin."""

    def check(candidate: Any) -> bool:
        if not (isinstance(candidate, type) and issubclass(candidate, base)):
            return False
        # The module that defines the class counts, not that in its path: a module also contains what it imports.
        module = candidate.__module__
        return module in _plugin_modules() or any(module == name or module.startswith(f"{name}.") for name in inside)

    return check


def _is_data(candidate: Any) -> bool:
    from lightning.pytorch import LightningDataModule

    return _subclass_of(LightningDataModule, "lit_genre")(candidate)


def _is_loss(candidate: Any) -> bool:
    from lit_genre.model.training.losses import Loss

    return _subclass_of(Loss, "lit_genre")(candidate)


def _is_model(candidate: Any) -> bool:
    from lit_genre.model.classifier import GenreClassifier

    return _subclass_of(GenreClassifier, "lit_genre")(candidate)


def _is_callback(candidate: Any) -> bool:
    from lightning.pytorch import Callback

    return _subclass_of(Callback, "lit_genre", "lightning.pytorch.callbacks")(candidate)


def _is_logger(candidate: Any) -> bool:
    from lightning.pytorch.loggers import Logger

    from lit_genre.loggers.wandb import wandb_logger

    return candidate is wandb_logger or _subclass_of(Logger, "lit_genre", "lightning.pytorch.loggers")(candidate)


def _is_trainer_part(candidate: Any) -> bool:
    """Check for a class of Lightning or lit-genre; the trainer checks whether it is a plugin, strategy or profiler."""
    packages = ("lit_genre", *(f"lightning.pytorch.{name}" for name in _FROM_LIGHTNING), "lightning.fabric.plugins")
    return _subclass_of(object, *packages)(candidate)


_PARTS: Final[dict[str, Callable[[Any], bool]]] = {
    "backbone": _is_backbone,
    "frontend": _is_frontend,
    "augment": _subclass_of(Augmentation, "lit_genre"),
    "loss": _is_loss,
    "optimizer": _subclass_of(Optimizer, "torch.optim"),
    "scheduler": lambda candidate: (
        _subclass_of(LRScheduler, "torch.optim", "lit_genre")(candidate)
        # The command line of Lightning has its own subclass, with the metric to monitor.
        or _subclass_of(ReduceLROnPlateau, "torch.optim", "lightning.pytorch.cli")(candidate)
    ),
    "data": _is_data,
    "model": _is_model,
    "callbacks": _is_callback,
    "logger": _is_logger,
    "plugins": _is_trainer_part,
    "strategy": _is_trainer_part,
    "profiler": _is_trainer_part,
}
