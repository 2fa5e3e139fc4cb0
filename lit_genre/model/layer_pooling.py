"""Embed clips by chosen layers of a backbone: each layer is pooled over time, several are averaged with weights."""

import reprlib
from collections.abc import Sequence
from typing import Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone, InputShape

Layers = list[int] | Literal["all"]
"""Numbers of layers: 0 is the input of the first, 1 its output, and so on."""

Pool = Literal["mean", "mean+std", "attention"]
"""How the states of a layer are pooled over the steps of a clip."""

MIN_SEGMENTS: Final = 32
"""Attention averages the states of neighbouring steps, so that a training clip has at least so many segments.

An encoder may have a thousand steps in 30 s, and a probe caches the segments of all clips.
"""

_LEAST_VARIANCE: Final = 1e-8
"""Added to a variance, so that the gradient of a deviation of 0 is finite."""


class LayerPooling(nn.Module):
    """Pools the states of each layer over time, and averages several layers with learned weights.

    Args:
        backbone: The backbone, with `layer_blocks`.
        layers: Numbers of the layers, or "all".
        pool: "mean"; "mean+std" for mean and standard deviation; or "attention" for an average of segments of the
            clip, each weighted by the softmax of its scalar product with a learned query.
        input_shape: Shape of one item of the backbone's input.

    Raises:
        LitGenreError: The backbone has no such layer, the layers to be averaged have states of several sizes, or there
            are several layers for attention.

    Attributes:
        layers: Numbers of the layers.
        weights: Logits of the weights of the layers, shape (l,); None for a single layer.
        query: Query of the attention, shape (d,), at first 0, so that the average is the mean; else None.
        embedding_dim: Size of the embedding.

    Shape:
        - states: l tensors (b, steps, d)
        - Output: (b, d), or (b, 2 d) for mean+std

    Reference:
        S. Yang et al., "SUPERB: Speech Processing Universal PERformance Benchmark", Interspeech 2021 (the learned
        average of layers). P. Safari et al., "Self-Attention Encoding and Pooling for Speaker Recognition",
        Interspeech 2020 (attention with a query).
    """

    def __init__(self, backbone: Backbone, layers: Layers, pool: Pool, input_shape: InputShape) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise LitGenreError(f"pool is {pool!r}, but must be {' or '.join(get_args(Pool))}.")
        self.layers, self.pool = chosen_layers(backbone, layers), pool
        if pool == "attention" and len(self.layers) > 1:
            raise LitGenreError(
                f"pool is attention, which is for a single layer, but layers has {len(self.layers)}. Set model.layers "
                "to one of them."
            )
        shapes = layer_shapes(backbone, self.layers, input_shape)
        sizes = [size for _, size in shapes]
        if len(set(sizes)) > 1:
            listed = ", ".join(f"{layer} has {size}" for layer, size in zip(self.layers, sizes, strict=True))
            raise LitGenreError(
                f"Layers of {type(backbone).__name__} with states of several sizes cannot be averaged ({listed}). Set "
                "model.layers to layers of one size, or to a single one."
            )
        self.weights = nn.Parameter(torch.zeros(len(sizes))) if len(sizes) > 1 else None
        self.query = nn.Parameter(torch.zeros(sizes[0])) if pool == "attention" else None
        # That of training clips; longer clips have more segments.
        self.segment_steps = segment_steps(shapes[0][0])
        self.embedding_dim = 2 * sizes[0] if pool == "mean+std" else sizes[0]

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Compute embeddings.

        Args:
            states: States of the layers, shape (b, steps, d) each.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        if self.query is not None:
            segments = average_segments(states[0], self.segment_steps)
            # Not segments @ query: onnxruntime 1.32 joins that product with the transposition before it, and computes
            # wrong numbers.
            scores = torch.einsum("bsd,d->bs", segments, self.query)
            return torch.einsum("bs,bsd->bd", scores.softmax(1), segments)
        pooled = torch.stack([pool_steps(layer, self.pool) for layer in states])
        if self.weights is None:
            return pooled[0]
        return torch.einsum("l,lbd->bd", self.weights.softmax(0).to(pooled.dtype), pooled)


def pool_steps(states: Tensor, pool: Pool) -> Tensor:
    """Pool states over time.

    Args:
        states: Shape (b, steps, d).
        pool: "mean", "mean+std", or "attention", for which a clip keeps all of its segments.

    Returns:
        Shape (b, d), (b, 2 d) for mean and standard deviation, or (b, segments d).
    """
    if pool == "attention":
        return average_segments(states, segment_steps(states.shape[1])).flatten(1)
    mean = states.mean(1)
    if pool == "mean":
        return mean
    variance = (states - mean.unsqueeze(1)).square().mean(1)
    return torch.cat([mean, (variance + _LEAST_VARIANCE).sqrt()], -1)


def segment_steps(n_steps: int) -> int:
    """Return the number of steps in a segment.

    Args:
        n_steps: Steps of a training clip.

    Returns:
        The largest number with at least MIN_SEGMENTS segments, or 1.
    """
    return max(1, n_steps // MIN_SEGMENTS)


def average_segments(states: Tensor, steps: int) -> Tensor:
    """Average the states of neighbouring steps.

    Args:
        states: Shape (b, steps of the clip, d).
        steps: Steps in a segment. Those after the last whole segment are left out; a shorter clip is one segment.

    Returns:
        Shape (b, segments, d).
    """
    if states.shape[1] < steps:
        return states.mean(1, keepdim=True)
    return states if steps == 1 else F.avg_pool1d(states.transpose(1, 2), steps).transpose(1, 2)


def chosen_layers(backbone: Backbone, layers: Layers) -> list[int]:
    """Return the numbers of the layers, checked.

    Args:
        backbone: The backbone.
        layers: Numbers of layers, or "all".

    Returns:
        The numbers.

    Raises:
        LitGenreError: The backbone has no layers to choose from, or none of such a number.
    """
    last, name = len(backbone.layer_blocks()), type(backbone).__name__
    if not last:
        raise LitGenreError(f"{name} has no layers to choose from (no layer_blocks). Leave out layers and pool.")
    if layers == "all":
        return list(range(last + 1))
    # Shortened: a checkpoint from a stranger may have a million numbers.
    shown = reprlib.repr(layers)
    if not layers or isinstance(layers, str) or not all(0 <= layer <= last for layer in layers):
        raise LitGenreError(f"layers is {shown}, but must be numbers of layers of {name}, 0 to {last}, or all.")
    if len({*layers}) < len(layers):
        raise LitGenreError(f"layers is {shown}, but must have each layer of {name} once.")
    return layers


def pooled_size(shape: tuple[int, int], pool: Pool) -> int:
    """Return how many numbers `pool_steps` returns for a clip.

    Args:
        shape: Steps and size d of the states.
        pool: How they are pooled over time.

    Returns:
        The number.
    """
    n_steps, size = shape
    return {"mean": size, "mean+std": 2 * size, "attention": n_steps // segment_steps(n_steps) * size}[pool]


def layer_shapes(backbone: Backbone, layers: Sequence[int], input_shape: InputShape) -> list[tuple[int, int]]:
    """Return the shape of the states of each layer.

    Args:
        backbone: The backbone.
        layers: Numbers of the layers.
        input_shape: Shape of one item.

    Returns:
        Number of steps, and size d of a state.
    """
    with torch.no_grad():
        return [(states.shape[1], states.shape[2]) for states in _try(backbone, layers, input_shape)]


def freeze_unused(backbone: Backbone, layers: Sequence[int], input_shape: InputShape) -> None:
    """Freeze the parameters that the embedding does not depend on, such as those after the last chosen layer.

    Parameters without a gradient stop training on several GPUs.

    Args:
        backbone: The backbone; some of its parameters are frozen.
        layers: Numbers of the layers.
        input_shape: Shape of one item.
    """
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    if not trained:
        return
    with torch.enable_grad():
        states = _try(backbone, layers, input_shape)
        total = torch.stack([layer.sum() for layer in states]).sum()
        gradients = torch.autograd.grad(total, trained, allow_unused=True)
    for parameter, gradient in zip(trained, gradients, strict=True):
        parameter.requires_grad_(gradient is not None)


def _try(backbone: Backbone, layers: Sequence[int], input_shape: InputShape) -> list[Tensor]:
    """Return the states of layers for one silent item, in evaluation mode, so that no running statistics change."""
    mode = backbone.training
    tensor = next(iter(backbone.parameters()), torch.zeros(1))
    silence = torch.zeros(1, *input_shape, device=tensor.device, dtype=tensor.dtype)
    try:
        states = backbone.eval().layer_outputs(silence, layers)
    finally:
        backbone.train(mode)
    if any(layer.ndim != 3 for layer in states):
        shapes = ", ".join(str(tuple(layer.shape)) for layer in states)
        raise LitGenreError(
            f"{type(backbone).__name__}.layer_outputs returns states of the shapes {shapes}, but must return "
            "(1, steps, d)."
        )
    return states
