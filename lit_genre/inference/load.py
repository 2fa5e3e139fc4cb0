"""Builds a trained model from a checkpoint, or from a folder that `lit-genre export --format hub` wrote."""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch.cli import instantiate_module

from lit_genre.class_path import find_model_class
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.checkpoint import read_checkpoint
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import find_checkpoint
from lit_genre.trust.classes import Source, find_class
from lit_genre.trust.hyperparameters import check_hyperparameters, check_weights, read_hyperparameters
from lit_genre.trust.plain import check_links, read_json

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
_GENRE_CLASSIFIER: Final = "lit_genre.model.classifier.GenreClassifier"


def load_model(source: str | Path, trust: bool = False, device: str | torch.device = "cpu") -> GenreClassifier:
    """Build a trained model from its file, in evaluation mode; nothing in the file is executed.

    Args:
        source: Path of a checkpoint or of a folder in the Hub's format, or "best" or "last" for that of the newest run.
        trust: Import any class that the file names, with any arguments, and follow links out of its folder. Without,
            only installed backbones and front-ends are accepted, with plain data; see SECURITY.md.
        device: Where the model is to be.

    Returns:
        The model, with gradients switched off.

    Raises:
        LitGenreError: There is no such file, it is not one of lit-genre, its weights are not finite, it does not fit
            the installed backbone, or it asks for something that is not trusted.
    """
    return build_trained(source, trust).eval().requires_grad_(False).to(device)


def build_trained(source: str | Path, trust: bool) -> GenreClassifier:
    """Build a trained model as its constructor leaves it, in training mode; see `load_model`."""
    path = Path(source).expanduser()
    if path.is_dir():
        hyperparameters, weights, content = _read_hub_folder(path, trust)
        own: frozenset[str] = frozenset()
    else:
        path = find_checkpoint(str(source))
        content = read_checkpoint(path)
        hyperparameters, weights = (
            read_hyperparameters(path, content.get("hyper_parameters")),
            content.get("state_dict"),
        )
        run = RunFolder.of_checkpoint(path)
        own = run.own_texts() if run else frozenset()
    check_weights(weights, path)
    origin = Source(path, own=own)
    model_class = trained_class(content, origin, trust)
    if not trust:
        check_hyperparameters(hyperparameters, origin, model_class)
    try:
        build = instantiate_module if trust else partial(_build, origin)
        model: GenreClassifier = build(model_class, hyperparameters)
        model.load_state_dict(weights)
    except LitGenreError:
        raise
    except Exception as error:  # A user's class, jsonargparse or torch may raise anything.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LitGenreError(
            f"The model in {path} cannot be brought back: {reason} Is the package of its backbone installed, in the "
            "version that it was trained with?"
        ) from error
    model.hparams.update(hyperparameters)
    return model


def trained_class(content: Mapping[str, Any], source: Source, trust: bool) -> type[GenreClassifier]:
    """Return the class of the model that a checkpoint names: GenreClassifier, or a subclass of it.

    Raises:
        LitGenreError: The class is not trusted, cannot be imported, or is no such class.
    """
    class_path = content.get("model_class", _GENRE_CLASSIFIER)
    if not isinstance(class_path, str):
        raise LitGenreError(f"{source.path} is damaged: it names {class_path!r} as the class of its model.")
    found: Any = None if trust else find_class(class_path, "model", source)
    found = found or find_model_class(class_path)
    if not issubclass(found, GenreClassifier):
        raise LitGenreError(f"{source.path} names {class_path} as the class of its model, which is no GenreClassifier.")
    known: type[GenreClassifier] = found
    return known


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
    """Add the arguments of every command that reads a model."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a .ckpt, a folder of the Hub's format, or best or last of the newest run",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )
    add_trust_argument(parser)


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a user trusts whoever made a file."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import what the checkpoint or its run names, and use the files that it names: this can run any code",
    )


def _read_hub_folder(folder: Path, trust: bool) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise LitGenreError(
            "To read a folder of the Hub's format, install the packages for it: pip install -e '.[hub]' in a clone of "
            "lit-genre's repository."
        ) from error
    config, weights = folder / CONFIG, folder / WEIGHTS
    if not trust:
        # In the Hub's cache the files are links to a folder beside the snapshots.
        cached = folder.resolve().parent.name == "snapshots"
        check_links(folder.resolve().parents[1] if cached else folder, (config, weights))
    for path in (config, weights):
        if not path.is_file():
            raise LitGenreError(
                f"{folder} holds no model: there is no {path.name} in it. Name a checkpoint, or a folder that "
                "lit-genre export --format hub wrote."
            )
    described = read_json(config)
    if "hyper_parameters" not in described:
        raise LitGenreError(f"{folder} is no model of lit-genre: {CONFIG} has no hyper_parameters.")
    try:
        return read_hyperparameters(config, described["hyper_parameters"]), load_file(weights), described
    except (SafetensorError, ValueError, KeyError) as error:
        raise LitGenreError(f"{folder} is no model of lit-genre: {WEIGHTS}: {error}") from error


def _build(source: Source, model_class: type[GenreClassifier], hyperparameters: dict[str, Any]) -> GenreClassifier:
    """Call the installed classes that a file names, with plain data."""
    named = [part for part in ("backbone", "frontend") if part in hyperparameters]
    factories = {part: _factory(hyperparameters[part], part, source) for part in named}
    return model_class(**(hyperparameters | factories))


def _factory(described: dict[str, Any], part: str, source: Source) -> Any:
    found = find_class(described["class_path"], part, source)
    assert found is not None  # Nothing is named by the user here, who names a file alone.
    return partial(found, **(described.get("init_args") or {}))
