"""Call a backbone, and raise an AssertionError if it does not meet a requirement."""

from typing import Final

import torch
from torch import Tensor

from lit_genre.model.backbone import Backbone, InputShape

SHAPES: Final[dict[str, InputShape]] = {"mel": (128, 130), "waveform": (33075,)}
"""Shapes of the items of a check: 6 s of frames of the default front-end, or 1.5 s of samples at 22,050 Hz."""

TOLERANCE: Final = 1e-4
"""Largest difference between two ways of computing an embedding, relative to its largest absolute value."""


def require(is_met: bool, message: str) -> None:
    """Raise an AssertionError with a message if a requirement is not met."""
    if not is_met:
        raise AssertionError(message)


def require_close(expected: Tensor, actual: Tensor, message: str) -> None:
    """Raise an AssertionError if two embeddings, shapes (b, d), differ by more than `TOLERANCE`."""
    difference = (expected - actual).abs().max().item() / max(expected.abs().max().item(), 1e-6)
    require(difference <= TOLERANCE, f"{message} (they differ by {difference:.1e} of the largest number)")


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
    """Return the embeddings of a batch in evaluation mode, shape (b, d)."""
    return forward(name, backbone.eval(), signal, "in eval")


def noise(n_items: int, shape: InputShape) -> Tensor:
    """Return uniform noise within -1 .. 1, shape (n_items, *shape)."""
    return torch.rand(n_items, *shape) * 2 - 1
