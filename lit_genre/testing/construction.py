"""Checks of how a backbone is built: its arguments, and its restoration from a checkpoint."""

import inspect
import io
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.testing.requirements import SHAPES, embed, noise, require, require_close

Factory = Callable[..., Backbone]
"""The class of a backbone, or a functools.partial of it."""


def check_arguments(factory: Factory) -> None:
    """Check that a class needs the shape only, and that the defaults of its other arguments are plain data.

    Args:
        factory: The class, or a functools.partial of it.

    Raises:
        AssertionError: It is not a subclass of Backbone, is abstract, or has an argument without a suitable default.
    """
    backbone_class = class_of(factory)
    name = getattr(backbone_class, "__name__", repr(factory))
    require(
        isinstance(backbone_class, type) and issubclass(backbone_class, Backbone),
        f"{name} is not a subclass of lit_genre.Backbone",
    )
    check_takes(backbone_class)
    missing = sorted(getattr(backbone_class, "__abstractmethods__", ()))
    require(not missing, f"{name} has no {' and no '.join(missing)}")
    arguments = list(inspect.signature(factory).parameters.values())
    require(bool(arguments), f"{name} takes no argument, but is given the shape of an item: input_shape")
    first, *others = arguments
    for argument in others:
        # *args and **kwargs have no defaults.
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        require(
            argument.default is not argument.empty,
            f"{name} needs a default for its argument {argument.name}: only {first.name} is passed by default",
        )
        # json.dumps accepts what YAML and a checkpoint can store.
        try:
            json.dumps(argument.default)
        except TypeError as error:
            raise AssertionError(
                f"the default of {name}'s argument {argument.name} is {argument.default!r}, but must be plain data "
                "(numbers, text, lists, None): it is written into configurations and checkpoints"
            ) from error


def check_takes(backbone: Backbone | type[Backbone]) -> None:
    """Check the attribute `takes` of a backbone or a class, which must be "mel" or "waveform"."""
    name = getattr(backbone, "__name__", type(backbone).__name__)
    require(backbone.takes in SHAPES, f"{name}.takes is {backbone.takes!r}, but must be 'mel' or 'waveform'")


def restore_args(backbone: Backbone) -> dict[str, Any]:
    """Return the arguments with which a checkpoint restores a backbone, and check that they are plain data."""
    arguments = backbone.restore_args()
    try:
        json.dumps(arguments)
    except TypeError as error:
        raise AssertionError(
            f"{type(backbone).__name__}.restore_args gives {arguments!r}, but must give plain data (numbers, text, "
            "lists, dicts, None): it is written into checkpoints"
        ) from error
    return arguments


def check_restoration(name: str, original: Backbone, restored: Backbone, shape: InputShape) -> None:
    """Check that a second object with the state_dict of the first has the same embeddings, as after a checkpoint.

    Args:
        name: Name of the backbone.
        original: The first object.
        restored: The second object, built with the same arguments; its weights are replaced.
        shape: Shape of one item.

    Raises:
        AssertionError: The state_dict cannot be loaded, or the embeddings differ.
    """
    # Through a file with weights_only, as checkpoints are read: tensors are accepted and other objects are not.
    # Through a file with weights_only, as a checkpoint is read.
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    try:
        restored.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:
        raise AssertionError(
            f"a second {name} cannot load the first one's state_dict ({type(error).__name__}: {error}), so a "
            "checkpoint could not be read: let the constructor make all parameters and buffers"
        ) from error
    signal = noise(2, shape)
    require_close(
        embed(name, original, signal),
        embed(name, restored, signal),
        f"a second {name} with the first one's state_dict gives other embeddings, so a checkpoint would be "
        "incomplete: make each tensor that it uses a Parameter or a registered buffer",
    )


def class_of(factory: Factory) -> Any:
    """Return the class that a factory builds."""
    return factory.func if isinstance(factory, partial) else factory


def build(factory: Factory, shape: InputShape, **restore_args: Any) -> Backbone:
    """Build a backbone.

    Args:
        factory: The class, or a functools.partial of it.
        shape: Shape of one item.
        restore_args: Further arguments.

    Returns:
        The backbone.

    Raises:
        AssertionError: The constructor raises an error, or the backbone has no embedding_dim.
    """
    name = getattr(class_of(factory), "__name__", repr(factory))
    arguments = ", ".join([str(shape), *(f"{key}={value!r}" for key, value in restore_args.items())])
    try:
        backbone = factory(shape, **restore_args)
        backbone.embedding_dim  # noqa: B018, raises an AttributeError here if it is missing
    except Exception as error:
        raise AssertionError(
            f"{name}({arguments}) cannot be built, or has no embedding_dim: {type(error).__name__}: {error}"
        ) from error
    return backbone
