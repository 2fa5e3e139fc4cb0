"""Refuse data that a model was not built for: training would succeed, with a wrong pitch or with swapped genres."""

from typing import Any, Final

from lit_genre.errors import LitGenreError

_ALIKE: Final = {
    "sample_rate": "sample rate, Hz",
    "clip_samples": "length of a clip, samples",
    "task": "task",
}
"""Attributes that must be equal in data and model, and their meanings."""


def check_data(model: Any, data: Any) -> None:
    """Compare a model with its data module; attributes that the data module does not have are not compared.

    Args:
        model: A GenreClassifier.
        data: A LightningDataModule, or None.

    Raises:
        LitGenreError: They differ.
    """
    for name, meaning in _ALIKE.items():
        of_model, of_data = getattr(model, name), getattr(data, name, None)
        if of_data is not None and of_data != of_model:
            raise LitGenreError(f"The {meaning}: {of_data} in the data, but {of_model} in the model. {_HINT}")
    classes = getattr(data, "classes", None)
    if classes is None or list(classes) == list(model.classes):
        return
    if sorted(classes) == sorted(model.classes):
        raise LitGenreError(
            f"Data and model have the same classes in another order, {_some(classes)} and {_some(model.classes)}, so "
            f"that genres would be swapped. {_HINT}"
        )
    raise LitGenreError(
        f"The classes of the data are {_some(classes)}, those of the model {_some(model.classes)}. {_HINT}"
    )


def check_same_classes(trained: list[str], classes: list[str]) -> None:
    """Refuse weights that were trained on other classes, or on the same in another order.

    Args:
        trained: Class names of the checkpoint, in the order of its labels.
        classes: Class names of the data.

    Raises:
        LitGenreError: They differ.
    """
    if trained != classes:
        raise LitGenreError(
            f"The checkpoint has the genres {_some(trained)}, but the data has {_some(classes)}. Use the data that it "
            "was trained on."
        )


_HINT: Final = "Build the model for the data by GenreClassifier.for_data(data, backbone)."


def _some(classes: Any) -> str:
    names = list(map(str, classes))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
