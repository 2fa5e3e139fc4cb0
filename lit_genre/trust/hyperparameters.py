"""Check the arguments and the weights of a model in a checkpoint, or in a folder in the Hub's format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

import torch
from torch import Tensor

from lit_genre.batch import Task
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import Pool
from lit_genre.model.training.finetuning import check_finetune
from lit_genre.trust.arguments import check_description, named_parameters
from lit_genre.trust.classes import Source
from lit_genre.trust.plain import check_mapping, is_finite_number

_RECIPE: Final = frozenset(
    (
        *("augment", "label_smoothing", "loss", "optimizer", "scheduler", "scheduler_interval", "compile_backbone"),
        *("backbone_lr", "layer_lr_decay"),
    )
)
"""Arguments of the training. They are in the configuration of a run, not in a checkpoint."""

_LONGEST_NAME: Final = 1000
"""Longest name of a class, characters. A longer one could fill the screen or a table."""

_SAMPLE_RATES: Final = (100, 1_000_000)
"""Range of sample rates, Hz: outside it, sizes of the front-end overflow or are 0."""

_LONGEST_CLIP: Final = 86_400.0
"""Longest clip, s: one day. A longer one could fill the memory."""


def read_hyperparameters(path: Path, content: Any) -> dict[str, Any]:
    """Return the arguments of the model in a file; `check_hyperparameters` checks the names in them.

    Args:
        path: The file, for messages.
        content: Value of `hyper_parameters` in the file.

    Returns:
        The arguments, well formed, by name.

    Raises:
        LitGenreError: It is not the description of a GenreClassifier.
    """
    if content is None:
        raise LitGenreError(f"{path} is not a checkpoint of lit-genre: it has no arguments of a model.")
    subject = f"The description of the model in {path}"
    # Lightning adds names that begin with an underscore, such as _instantiator.
    hyperparameters = {
        name: value for name, value in check_mapping(content, subject).items() if not str(name).startswith("_")
    }
    if missing := {"backbone", "classes"} - hyperparameters.keys():
        raise LitGenreError(f"{path} is not a checkpoint of lit-genre: it does not name {', '.join(sorted(missing))}.")
    _check_classes(hyperparameters, subject)
    _check_numbers(hyperparameters, subject)
    return hyperparameters


def check_hyperparameters(
    hyperparameters: Mapping[str, Any], source: Source, model_class: type[GenreClassifier] = GenreClassifier
) -> None:
    """Refuse classes and arguments that a file may not name.

    Args:
        hyperparameters: As `read_hyperparameters` returns them.
        source: The file.
        model_class: Class of the model.

    Raises:
        LitGenreError: The backbone or the front-end is not installed for lit-genre, or gets more than plain data.
    """
    # Without the arguments of the training, with which a file could name more classes.
    if strange := hyperparameters.keys() - (named_parameters(model_class).keys() - _RECIPE):
        raise LitGenreError(
            f"{source.path} sets {', '.join(sorted(map(str, strange)))}, which no checkpoint of lit-genre has. If you "
            "trust the author of the file, add --trust (in Python: trust=True)."
        )
    for part in ("backbone", "frontend"):
        if part in hyperparameters:
            check_description(hyperparameters[part], part, source)


def check_weights(weights: Any, path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint after checking them.

    Args:
        weights: Value of `state_dict` in the file.
        path: The file, for messages.

    Returns:
        The same weights: finite, dense tensors of any shape, by name.

    Raises:
        LitGenreError: A value is not a finite, dense tensor.
    """
    if not isinstance(weights, dict) or not weights:
        raise LitGenreError(f"{path} is not a checkpoint of lit-genre: it has no weights.")
    # Before torch loads them: a sparse or quantised tensor would raise a different error in each layer.
    for name, tensor in weights.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor)):
            raise LitGenreError(f"The model in {path} cannot be restored: {name!r} is not a tensor.")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise LitGenreError(f"The model in {path} cannot be restored: the weights {name} are not dense numbers.")
        if not tensor.isfinite().all():
            raise LitGenreError(
                f"The weights {name} in {path} are not finite numbers: the training that wrote it has diverged. Use an "
                "earlier checkpoint, or train again with a lower learning rate."
            )
    return weights


def _check_classes(hyperparameters: Mapping[str, Any], subject: str) -> None:
    classes, task = hyperparameters["classes"], hyperparameters.get("task", "multiclass")
    if not isinstance(classes, list | tuple) or not classes:
        raise LitGenreError(f"{subject} is damaged: classes is {classes!r}, not a list of names.")
    for name in classes:
        if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME):
            raise LitGenreError(f"{subject} is damaged: {name!r} among the classes is not a name.")
    # Scores and predictions are stored by class name, so names must be unique.
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise LitGenreError(f"{subject} is damaged: {twice!r} is twice among the classes.")
    if task not in get_args(Task):
        raise LitGenreError(f"{subject} is damaged: task is {task!r}, but must be {' or '.join(get_args(Task))}.")
    counts = hyperparameters.get("class_counts")
    if counts is not None and not (
        isinstance(counts, list | tuple)
        and len(counts) == len(classes)
        and all(type(count) is int and count >= 0 for count in counts)
    ):
        raise LitGenreError(f"{subject} is damaged: class_counts is {counts!r}, not a number of tracks for each class.")


def _check_numbers(hyperparameters: Mapping[str, Any], subject: str) -> None:
    rate, seconds = hyperparameters.get("sample_rate", 22050), hyperparameters.get("clip_seconds")
    least, most = _SAMPLE_RATES
    # type() and not isinstance(), which would accept True as a number.
    if type(rate) is not int or not least <= rate <= most:
        raise LitGenreError(f"{subject} is damaged: sample_rate is {rate!r}, but must be {least:,} to {most:,} Hz.")
    if seconds is not None and not (is_finite_number(seconds) and 0 < seconds <= _LONGEST_CLIP):
        raise LitGenreError(f"{subject} is damaged: clip_seconds is {seconds!r}, but must be a length in seconds.")
    temperature = hyperparameters.get("temperature", 1.0)
    if not (is_finite_number(temperature) and temperature > 0):
        raise LitGenreError(f"{subject} is damaged: temperature is {temperature!r}, but must be a number above 0.")
    dim = hyperparameters.get("head_dim")
    if dim is not None and (type(dim) is not int or dim < 1):
        raise LitGenreError(f"{subject} is damaged: head_dim is {dim!r}, but must be a whole number, at least 1.")
    layers, pool = hyperparameters.get("layers"), hyperparameters.get("pool", "mean")
    if layers not in (None, "all") and not (isinstance(layers, list) and all(type(layer) is int for layer in layers)):
        raise LitGenreError(f"{subject} is damaged: layers is {layers!r}, but must be numbers of layers, or all.")
    if pool not in get_args(Pool):
        raise LitGenreError(f"{subject} is damaged: pool is {pool!r}, but must be {' or '.join(get_args(Pool))}.")
    finetune = hyperparameters.get("finetune")
    if finetune is not None:
        if not isinstance(finetune, str):
            raise LitGenreError(f"{subject} is damaged: finetune is {finetune!r}, but must be a word.")
        check_finetune(finetune)
    for name in ("class_weights", "mean_normalized_channels"):
        if not isinstance(hyperparameters.get(name, False), bool):
            raise LitGenreError(
                f"{subject} is damaged: {name} is {hyperparameters[name]!r}, but must be true or false."
            )
