"""A model from one checkpoint, or from a folder that `lit-genre export --format hub` wrote, ready to be asked."""

import argparse
import inspect
import json
import sys
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch.cli import instantiate_module
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.frontend import LogMel
from lit_genre.plugins import backbones
from lit_genre.run_folder import find_checkpoint, read_hyperparameters

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
_EXPECTED: Final = {*inspect.signature(GenreClassifier).parameters} - {
    "augment",
    "label_smoothing",
    "optimizer",
    "scheduler",
    "compile_backbone",
}
_FRONTENDS: Final[set[type[nn.Module]]] = {LogMel, nn.Identity}


def load_model(source: str | Path, trust: bool = False, device: str | torch.device = "cpu") -> GenreClassifier:
    """Bring back a trained model, in evaluation mode; nothing in the file is executed.

    Args:
        source: Path of a checkpoint or of a folder in the Hub's format, or "best" or "last" for that of the newest run.
        trust: Import any class that the file names, and not only backbones that are installed and front-ends that are
            ours or in the same module as one of these: importing a module runs its code.
        device: Where the model is to be.

    Raises:
        LitGenreError: There is no such file, it is none of ours, does not fit the installed backbone, or names a class
            that is not trusted.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        hyperparameters, weights = _read_hub_folder(path)
    else:
        path = find_checkpoint(str(source))
        hyperparameters = read_hyperparameters(path)
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("state_dict", {})
    hyperparameters = {name: value for name, value in hyperparameters.items() if not name.startswith("_")}
    try:
        model = instantiate_module(GenreClassifier, hyperparameters) if trust else _build(hyperparameters, path)
        assert isinstance(model, GenreClassifier)
        model.load_state_dict(weights)
    except LitGenreError:
        raise
    except Exception as error:  # Of a class of anyone's, by jsonargparse, by torch.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LitGenreError(
            f"The model in {path} cannot be brought back: {reason} Is the package of its backbone installed, in the "
            "version that it was trained with?"
        ) from error
    model.hparams.update(hyperparameters)
    return model.eval().requires_grad_(False).to(device)


def find_device(name: str) -> torch.device:
    """Name a device; "auto" is the accelerator where there is one.

    Raises:
        LitGenreError: There is no such device.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LitGenreError(f"There is no device {name!r} here: choose cpu, or auto for the best there is.") from error
    return device


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that asks a model."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a .ckpt, a folder of the Hub's format, or best or last of the newest run",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )
    parser.add_argument(
        "--trust", action="store_true", help="import any class that the checkpoint names: this runs its code"
    )


def _read_hub_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise LitGenreError("To read a folder of the Hub's format: pip install 'lit-genre[hub]'.") from error
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return dict(config["hyper_parameters"]), load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise LitGenreError(
            f"{folder} holds no model: there is no {Path(error.filename or WEIGHTS).name} in it. Name a checkpoint, or "
            "a folder that lit-genre export --format hub wrote."
        ) from error
    except Exception as error:  # A file of anyone's; safetensors has an exception of its own.
        raise LitGenreError(f"{folder} is no model of lit-genre: {type(error).__name__}: {error}") from error


def _build(hyperparameters: dict[str, Any], path: Path) -> GenreClassifier:
    """Call what is installed by the names that a file gives, with plain data, and import nothing for it."""
    if strange := hyperparameters.keys() - _EXPECTED:
        raise LitGenreError(f"{path} asks for {', '.join(sorted(strange))}, which no checkpoint of lit-genre has.")
    installed = {plugin.backbone for plugin in backbones().values() if plugin.backbone is not None}
    frontends = _FRONTENDS.union(*map(_classes_beside, installed))
    parts: dict[str, set[type[Backbone]] | set[type[nn.Module]]] = {"backbone": installed, "frontend": frontends}
    factories = {name: _factory(hyperparameters[name], parts[name], path) for name in parts if name in hyperparameters}
    model = GenreClassifier(**{**hyperparameters, **factories})
    model.hparams.update(hyperparameters)
    return model


def _classes_beside(backbone: type[Backbone]) -> set[type[nn.Module]]:
    """List the classes of the module that a backbone is defined in, where its front-end may be."""
    module = backbone.__module__
    return {
        found
        for found in vars(sys.modules[module]).values()
        if isinstance(found, type) and issubclass(found, nn.Module) and found.__module__ == module
    }


def _factory(described: Any, known: AbstractSet[type[nn.Module]], path: Path) -> Any:
    class_path = str(described.get("class_path") if isinstance(described, dict) else described)
    module, _, name = class_path.rpartition(".")
    # What is installed for lit-genre has been imported; nothing else is.
    found = getattr(sys.modules.get(module), name, None)
    if not isinstance(found, type) or found not in known or not isinstance(described, dict):
        raise LitGenreError(
            f"{path} asks to import {class_path}, which is nothing that is installed for lit-genre: install the "
            "package of its backbone, or, if you trust whoever made the file, for importing runs code, add --trust."
        )
    init_args = described.get("init_args") or {}
    if described.keys() - {"class_path", "init_args"} or _names_classes(init_args):
        raise LitGenreError(
            f"{path} gives {class_path} more than plain data. If you trust whoever made the file, for this may run "
            "code, add --trust."
        )
    return partial(found, **init_args)


def _names_classes(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or any(map(_names_classes, value.values()))
    return isinstance(value, list | tuple) and any(map(_names_classes, value))
