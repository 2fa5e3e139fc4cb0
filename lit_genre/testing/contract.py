"""Check that a backbone keeps the contract that training, testing, resuming and exporting rely on."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import torch

from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.testing.construction import (
    Factory,
    build,
    check_arguments,
    check_second,
    check_takes,
    class_of,
    restore_args,
)
from lit_genre.testing.embeddings import check_batch, check_finite, check_gradients, check_shapes
from lit_genre.testing.execution import check_autocast, check_compile, check_device, check_pickle
from lit_genre.testing.requirements import SHAPES, require


class Check(Protocol):
    """A part of the contract."""

    def __call__(self, name: str, backbone: Backbone, shape: InputShape) -> None:
        """Raise an AssertionError if a backbone breaks this part.

        Args:
            name: Name of the backbone.
            backbone: The backbone.
            shape: Shape of one item.
        """


CHECKS: Final[tuple[Check, ...]] = (
    check_shapes,
    check_finite,
    check_gradients,
    check_batch,
    check_pickle,
    check_device,
    check_autocast,
    check_compile,
)


def check_backbone(backbone: Factory | Backbone, input_shape: InputShape | None = None) -> None:
    """Check that a backbone keeps the contract that training, testing, resuming and exporting rely on.

    The checks: shape of the embeddings of shorter and longer inputs; finite values for noise, silence and full scale;
    a gradient for every parameter; in evaluation mode, embeddings that are reproducible and independent of the other
    items of the batch; the same embeddings after state_dict, pickling and torch.compile; moving to another device;
    training under bfloat16 autocast.

    Args:
        backbone: The class, a functools.partial of it, or an object. With a class, its arguments and the restoration
            of a second object from the state_dict are checked, too.
        input_shape: Shape of an item; by default (128, 130), mel bands by frames, or 33,075 samples.

    Raises:
        AssertionError: It breaks the contract; the message has the reason and the remedy.
    """
    with _seeded():
        if isinstance(backbone, Backbone):
            check_takes(backbone)
            shape = input_shape or SHAPES[backbone.takes]
            built, second = copy.deepcopy(backbone), copy.deepcopy(backbone)
            for tensor in second.state_dict().values():
                tensor.zero_()
        else:
            check_arguments(backbone)
            shape = input_shape or SHAPES[class_of(backbone).takes]
            built = build(backbone, shape)
            second = build(backbone, shape, **restore_args(built))
        name = type(built).__name__
        rate = built.sample_rate
        require(
            rate is None or isinstance(rate, int), f"{name}.sample_rate is {rate!r}, but must be None or an int, Hz"
        )
        for check in CHECKS:
            check(name, built, shape)
        check_second(name, built, second, shape)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed torch inside the context, and restore the caller's state after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
