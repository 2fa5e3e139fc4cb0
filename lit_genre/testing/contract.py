"""The check of a backbone against the contract that training, testing, resuming and exporting rely on."""

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
    check_restoration,
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
        """Check one part of the contract.

        Args:
            name: Name of the backbone, for the message.
            backbone: The backbone; its mode may change.
            shape: Shape of one item.

        Raises:
            AssertionError: The backbone does not meet this part.
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
    """Check that a backbone meets the contract that training, testing, resuming and exporting rely on.

    The checks:

    - The embeddings have the right shape, also for shorter and longer inputs.
    - Noise, silence and full scale give finite values.
    - Every parameter gets a gradient.
    - In evaluation mode, embeddings are reproducible, and independent of the other items of the batch.
    - Embeddings are the same after pickling, under torch.compile, and in a second object with the same state_dict.
    - All of the backbone moves to another device.
    - It can be trained under bfloat16 autocast.

    Args:
        backbone: The class, a functools.partial of it, or an object. With a class, its arguments and the restoration
            of a second object from the state_dict are checked, too.
        input_shape: Shape of an item; by default (128, 130), mel bands by frames, or 33,075 samples.

    Raises:
        AssertionError: The backbone does not meet the contract; the message has the reason and what to change.
    """
    with _seeded():
        if isinstance(backbone, Backbone):
            check_takes(backbone)
            shape = input_shape or SHAPES[backbone.takes]
            built, second = copy.deepcopy(backbone), copy.deepcopy(backbone)
            # All values of the copy must come from the state_dict that is loaded into it.
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
        check_restoration(name, built, second, shape)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed torch inside the context, and restore the caller's state after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
