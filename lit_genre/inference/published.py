"""Models that need no training: taggers with published weights, and encoders of audio and text."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier

TAGGERS: Final = "lit_genre.taggers"
"""Group of entry points: functions that return a GenreClassifier with published classes and weights."""

ZERO_SHOT: Final = "lit_genre.zero_shot"
"""Group of entry points: functions (classes, model) that return a GenreClassifier for any names."""


def load_tagger(name: str) -> GenreClassifier:
    """Build the model of a tagger.

    Args:
        name: Name of its entry point.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        LitGenreError: No installed package declares it, or its weights are not installed.
    """
    function = _find(TAGGERS, name, "tagger", "MusiCNN is in plugins/musicnn: pip install -e plugins/musicnn")
    return _frozen(function())


def load_zero_shot(classes: Sequence[str], name: str, model: str) -> GenreClassifier:
    """Build a model that compares audio with the names of classes.

    Args:
        classes: The names, at least two.
        name: Name of the entry point.
        model: Name on a hub, or folder, of the encoder.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        LitGenreError: Names are missing or double, no installed package declares it, or the encoder cannot be loaded.
    """
    if len(set(classes)) < len(classes) or len(classes) < 2 or not all(classes):
        raise LitGenreError(
            f"--zero-shot is {','.join(classes)!r}, but must be two or more different names, such as techno,house."
        )
    function = _find(
        ZERO_SHOT, name, "zero-shot model", "CLAP is in plugins/transformers: pip install -e plugins/transformers"
    )
    return _frozen(function(list(classes), model))


def _find(group: str, name: str, kind: str, install: str) -> Callable[..., Any]:
    points = {point.name: point for point in entry_points(group=group)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise LitGenreError(f"No installed package has the {kind} {name} (installed: {known}). {install}")
    function: Callable[..., Any] = points[name].load()
    return function


def _frozen(model: GenreClassifier) -> GenreClassifier:
    return model.eval().requires_grad_(False)
