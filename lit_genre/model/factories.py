"""Build the backbone, the head and the loss of a model from classes, and describe classes as plain data."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pydoc import locate
from typing import Any, Final

from torch import nn

from lit_genre.batch import Task
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.training.losses import DEFAULT_LOSS, Loss

_FRONTENDS: Final = {"mel": "lit_genre.LogMel", "waveform": "torch.nn.Identity"}
"""Front-end for each kind of input of a backbone."""


def describe(factory: Any) -> dict[str, Any]:
    """Describe a class, or a functools.partial of a class, as plain data.

    Args:
        factory: The class or the partial.

    Returns:
        `class_path` and `init_args`, as in a configuration.

    Raises:
        LitGenreError: The factory is neither, so that a checkpoint cannot store it.
    """
    parts = (factory.func, *factory.args) if isinstance(factory, partial) else (factory,)
    for part in parts:
        if isinstance(part, type):
            init_args = dict(factory.keywords) if isinstance(factory, partial) else {}
            return {"class_path": f"{part.__module__}.{part.__qualname__}", "init_args": init_args}
    raise LitGenreError(
        f"{factory!r} cannot be written into a checkpoint: pass a class, or functools.partial(Class, name=value)"
    )


def build_backbone(
    factory: Callable[[InputShape], Backbone], described: Mapping[str, Any], input_shape: InputShape, sample_rate: int
) -> Backbone:
    """Build a backbone for items of a shape.

    Args:
        factory: The class.
        described: The class as plain data, from `describe`.
        input_shape: Shape of one item: (m, f) or (n,).
        sample_rate: Sample rate of the waveforms, Hz.

    Raises:
        LitGenreError: The backbone cannot be built, has another kind of input, or requires another sample rate.

    Returns:
        The backbone.
    """
    name = described["class_path"].rpartition(".")[2]
    # Also before it is built: with a wrong input shape it may be huge, or fail with a misleading error.
    _check_takes(name, locate(described["class_path"]), input_shape)
    try:
        backbone = factory(input_shape)
        backbone.embedding_dim  # noqa: B018, raises here if the class does not set it
    except LitGenreError:
        # Has its own message for the user.
        raise
    except Exception as error:  # A user's class may raise anything.
        raise LitGenreError(
            f"The backbone {name} cannot be built for items of shape {input_shape}: {type(error).__name__}: {error}"
        ) from error
    _check_takes(name, backbone, input_shape)
    if backbone.sample_rate not in (None, sample_rate):
        raise LitGenreError(
            f"The backbone {name} was made for {backbone.sample_rate} Hz, but sample_rate is {sample_rate}: "
            f"set --model.sample_rate={backbone.sample_rate}."
        )
    return backbone


def build_head(embedding_dim: int, head_dim: int | None, n_classes: int) -> nn.Module:
    """Build the head: a linear layer, or a hidden layer of `head_dim` ReLU units and a linear layer."""
    if head_dim is None:
        return nn.Linear(embedding_dim, n_classes)
    return nn.Sequential(nn.Linear(embedding_dim, head_dim), nn.ReLU(), nn.Linear(head_dim, n_classes))


def build_loss(factory: Callable[[Task, float], Loss] | None, task: Task, label_smoothing: float) -> Loss:
    """Build the loss.

    Args:
        factory: Class of the loss; None for the default of the task.
        task: The task.
        label_smoothing: Part of each target, 0 to 1, that is distributed equally over all genres.

    Raises:
        LitGenreError: The class is not a Loss, or has weights, which a checkpoint does not store.
    """
    loss = (factory or DEFAULT_LOSS[task])(task, label_smoothing)
    name = type(loss).__name__
    if not isinstance(loss, Loss):
        raise LitGenreError(f"{name} is no subclass of lit_genre.Loss, as model.loss must be.")
    if weights := list(loss.state_dict()):
        raise LitGenreError(
            f"The loss {name} has weights of its own, {', '.join(weights)}, which no checkpoint stores: compute it "
            "without parameters, and register its buffers with persistent=False."
        )
    return loss


def check_classes(classes: Sequence[str], task: Task) -> None:
    """Refuse the multiclass task with a single class.

    Raises:
        LitGenreError: There is one class only.
    """
    if len(classes) < 2 and task == "multiclass":
        raise LitGenreError(
            f"The data has one genre only, {', '.join(map(repr, classes))}: a classifier needs tracks of two or more."
        )


def _check_takes(name: str, backbone: Any, input_shape: InputShape) -> None:
    """Refuse a backbone, or its class, whose input is not the output of the front-end."""
    given = "mel" if len(input_shape) == 2 else "waveform"
    takes = getattr(backbone, "takes", given)
    if takes != given:
        raise LitGenreError(
            f"The backbone {name} takes a {takes}, but the front-end returns items of shape {input_shape}: "
            f"choose frontend: {_FRONTENDS.get(takes, 'one that returns it')}."
        )
