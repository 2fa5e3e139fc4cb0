"""Build a trained model from a checkpoint, or from a folder of `lit-genre export --format hub`."""

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
    """Build a trained model from its file, in evaluation mode; no code in the file is executed.

    Args:
        source: Path of a checkpoint or of a folder in the Hub's format, or "best" or "last" for the newest run.
        trust: Import any class that the file names, with any arguments, and follow links out of its folder. If false,
            only installed backbones and front-ends with plain data are accepted; see SECURITY.md.
        device: Device of the model.

    Returns:
        The model, with gradients switched off.

    Raises:
        LitGenreError: The file does not exist or is not a model of lit-genre; its weights are not finite or do not fit
            the installed backbone; or it names something that is not trusted.
    """
    return build_trained(source, trust).eval().requires_grad_(False).to(device)


def build_trained(source: str | Path, trust: bool) -> GenreClassifier:
    """Build a trained model in training mode, with gradients.

    Args:
        source: As of `load_model`.
        trust: As of `load_model`.

    Returns:
        The model, on the CPU.

    Raises:
        LitGenreError: As of `load_model`.
    """
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
            f"The model in {path} cannot be restored: {reason} Is the package of its backbone installed, in the "
            "version with which it was trained?"
        ) from error
    model.hparams.update(hyperparameters)
    return model


def trained_class(content: Mapping[str, Any], source: Source, trust: bool) -> type[GenreClassifier]:
    """Return the class of the model in a checkpoint: GenreClassifier, or a subclass.

    Args:
        content: Content of the checkpoint.
        source: Its path and the names that are trusted.
        trust: Whether to import any class.

    Raises:
        LitGenreError: The class is not trusted, cannot be imported, or is not a GenreClassifier.
    """
    class_path = content.get("model_class", _GENRE_CLASSIFIER)
    if not isinstance(class_path, str):
        raise LitGenreError(f"{source.path} is damaged: it names {class_path!r} as the class of its model.")
    found: Any = None if trust else find_class(class_path, "model", source)
    found = found or find_model_class(class_path)
    if not issubclass(found, GenreClassifier):
        raise LitGenreError(
            f"{source.path} names {class_path} as the class of its model, which is not a GenreClassifier."
        )
    known: type[GenreClassifier] = found
    return known


def find_device(name: str) -> torch.device:
    """Return a device.

    Args:
        name: Name of the device in torch; "auto" for the accelerator if there is one, else the CPU.

    Raises:
        LitGenreError: The device does not exist.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LitGenreError(
            f"This machine has no device {name!r}. Use cpu, or auto for the accelerator if there is one."
        ) from error
    return device


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that loads a model."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a .ckpt, a folder in the Hub's format, or best or last for the newest run",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )
    add_trust_argument(parser)


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a user trusts the author of a file."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the classes and use the files that the checkpoint or its run names; this can run any code",
    )


def _read_hub_folder(folder: Path, trust: bool) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise LitGenreError(
            "To read a folder in the Hub's format, install the packages for it: pip install -e '.[hub]' in a clone of "
            "lit-genre's repository."
        ) from error
    config, weights = folder / CONFIG, folder / WEIGHTS
    if not trust:
        # In the cache of the Hub the files are links to a folder next to the snapshots.
        cached = folder.resolve().parent.name == "snapshots"
        check_links(folder.resolve().parents[1] if cached else folder, (config, weights))
    for path in (config, weights):
        if not path.is_file():
            raise LitGenreError(
                f"{folder} contains no {path.name}, so that it is not a model. Use a checkpoint, or a folder of "
                "lit-genre export --format hub."
            )
    described = read_json(config)
    if "hyper_parameters" not in described:
        raise LitGenreError(f"{folder} is not a model of lit-genre: {CONFIG} has no hyper_parameters.")
    try:
        return read_hyperparameters(config, described["hyper_parameters"]), load_file(weights), described
    except (SafetensorError, ValueError, KeyError) as error:
        raise LitGenreError(f"{folder} is not a model of lit-genre: {WEIGHTS}: {error}") from error


def _build(source: Source, model_class: type[GenreClassifier], hyperparameters: dict[str, Any]) -> GenreClassifier:
    """Build a model from the installed classes that a file names, with plain data."""
    named = [part for part in ("backbone", "frontend") if part in hyperparameters]
    factories = {part: _factory(hyperparameters[part], part, source) for part in named}
    return model_class(**(hyperparameters | factories))


def _factory(described: dict[str, Any], part: str, source: Source) -> Any:
    found = find_class(described["class_path"], part, source)
    assert found is not None  # None means a class that the user named, and there is none here.
    return partial(found, **(described.get("init_args") or {}))
