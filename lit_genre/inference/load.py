"""Build a trained model from a checkpoint, or from a folder written by `lit-genre export --format hub`."""

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

# Names that the Hugging Face Hub expects.
WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"

_GENRE_CLASSIFIER: Final = "lit_genre.model.classifier.GenreClassifier"
"""Class of a model whose checkpoint names none."""


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
    return build_trained_model(source, trust).eval().requires_grad_(False).to(device)


def build_trained_model(source: str | Path, trust: bool) -> GenreClassifier:
    """Build a trained model in training mode, with gradients.

    Args:
        source: Path of a checkpoint or of a folder in the Hub's format, or "best" or "last", as for `load_model`.
        trust: Whether to import any class that the file names, as for `load_model`.

    Returns:
        The model, on the CPU.

    Raises:
        LitGenreError: In the same cases as `load_model`.
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
    model_class = trained_model_class(content, origin, trust)
    if not trust:
        check_hyperparameters(hyperparameters, origin, model_class)
    try:
        # jsonargparse imports whatever the file names, so it is used only for a trusted file.
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
    # Building a model rewrites some hyperparameters; those of the file are plain data, which an export can write.
    model.hparams.update(hyperparameters)
    return model


def trained_model_class(content: Mapping[str, Any], source: Source, trust: bool) -> type[GenreClassifier]:
    """Return the class of the model in a checkpoint: GenreClassifier, or a subclass.

    Args:
        content: Content of the checkpoint.
        source: Path of the checkpoint, and the names that it may contain.
        trust: Whether to import any class.

    Returns:
        The class.

    Raises:
        LitGenreError: The class is not trusted, cannot be imported, or is not a GenreClassifier.
    """
    class_path = content.get("model_class", _GENRE_CLASSIFIER)
    if not isinstance(class_path, str):
        raise LitGenreError(f"{source.path} is damaged: it names {class_path!r} as the class of its model.")
    model_class: Any = None if trust else find_class(class_path, "model", source)
    model_class = model_class or find_model_class(class_path)
    if not issubclass(model_class, GenreClassifier):
        raise LitGenreError(
            f"{source.path} names {class_path} as the class of its model, which is not a GenreClassifier."
        )
    checked: type[GenreClassifier] = model_class
    return checked


def find_device(name: str) -> torch.device:
    """Return a device that can compute.

    Args:
        name: Name of the device in torch; "auto" for the accelerator if there is one, else the CPU.

    Returns:
        The device.

    Raises:
        LitGenreError: The device does not exist.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        # torch.device accepts a device that this machine lacks; only a computation fails.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LitGenreError(
            f"This machine has no device {name!r}. Use cpu, or auto for the accelerator if there is one."
        ) from error
    return device


def _read_hub_folder(folder: Path, trust: bool) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Return the hyperparameters, the weights and the whole configuration of a folder."""
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
    content = read_json(config)
    if "hyper_parameters" not in content:
        raise LitGenreError(f"{folder} is not a model of lit-genre: {CONFIG} has no hyper_parameters.")
    try:
        return read_hyperparameters(config, content["hyper_parameters"]), load_file(weights), content
    except (SafetensorError, ValueError, KeyError) as error:
        raise LitGenreError(f"{folder} is not a model of lit-genre: {WEIGHTS}: {error}") from error


def _build(source: Source, model_class: type[GenreClassifier], hyperparameters: dict[str, Any]) -> GenreClassifier:
    """Build a model from the installed classes that a file names, with plain data."""
    parts = [part for part in ("backbone", "frontend") if part in hyperparameters]
    factories = {part: _factory(hyperparameters[part], part, source) for part in parts}
    return model_class(**(hyperparameters | factories))


def _factory(description: dict[str, Any], part: str, source: Source) -> Any:
    """Return a function that builds a backbone or a front-end, from its class path and arguments."""
    part_class = find_class(description["class_path"], part, source)
    # None means a class that the user named on the command line, and `source` has no such names.
    assert part_class is not None
    return partial(part_class, **(description.get("init_args") or {}))
