"""Tools of the checks: call a backbone, and raise an AssertionError with a message if a requirement is not met."""

from typing import Final

import torch
from torch import Tensor

from lit_genre.model.backbone import Backbone, InputShape

SHAPES: Final[dict[str, InputShape]] = {"mel": (128, 130), "waveform": (33075,)}
"""Shapes of the items of a check: 6 s of the default front-end, or 1.5 s of samples at 22,050 Hz."""

TOLERANCE: Final = 1e-4
"""Largest difference between two ways of computing an embedding, relative to its largest absolute value.

float32 with another order of operations differs by about 1e-6; a wrong computation by much more.
"""


def require(is_met: bool, message: str) -> None:
    """Raise an AssertionError with a message if a requirement is not met."""
    if not is_met:
        raise AssertionError(message)


def require_close(expected: Tensor, actual: Tensor, message: str) -> None:
    """Check that two batches of embeddings differ by at most `TOLERANCE`.

    Args:
        expected: Embeddings, shape (b, d).
        actual: Embeddings, shape (b, d).
        message: Message of the error, which the difference is appended to.

    Raises:
        AssertionError: They differ by more.
    """
    # At least 1e-6, so that embeddings of zeros can be compared.
    difference = (expected - actual).abs().max().item() / max(expected.abs().max().item(), 1e-6)
    require(difference <= TOLERANCE, f"{message} (they differ by {difference:.1e} of the largest value)")


def forward(name: str, backbone: Backbone, signal: Tensor, situation: str) -> Tensor:
    """Return the embeddings of a batch.

    Args:
        name: Name of the backbone.
        backbone: The backbone.
        signal: Batch of items, shape (b, m, f) or (b, n).
        situation: Continues the error message, such as "in training".

    Returns:
        Embeddings, shape (b, d).

    Raises:
        AssertionError: The backbone raises an error.
    """
    try:
        embedding: Tensor = backbone(signal)
    except Exception as error:
        raise AssertionError(f"{name} fails {situation}: {type(error).__name__}: {error}") from error
    return embedding


@torch.no_grad()
def embed(name: str, backbone: Backbone, signal: Tensor) -> Tensor:
    """Return the embeddings of a batch in evaluation mode, without gradients.

    Args:
        name: Name of the backbone.
        backbone: The backbone, which is set to evaluation mode.
        signal: Batch of items, shape (b, m, f) or (b, n).

    Returns:
        Embeddings, shape (b, d).

    Raises:
        AssertionError: The backbone raises an error.
    """
    return forward(name, backbone.eval(), signal, "in eval")


def noise(n_items: int, shape: InputShape) -> Tensor:
    """Return random items.

    Args:
        n_items: Number of items.
        shape: Shape of one item.

    Returns:
        Uniform noise within -1 .. 1, shape (n_items, *shape), float32.
    """
    return torch.rand(n_items, *shape) * 2 - 1
