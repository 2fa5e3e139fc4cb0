"""Checks of the embeddings: shape, finite values, gradients, and independence of the batch."""

import torch
from torch import Tensor

from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.testing.requirements import embed, forward, noise, require, require_close


def check_shapes(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that inputs of several lengths give embeddings of shape (b, embedding_dim), and are not changed."""
    dim = backbone.embedding_dim
    require(isinstance(dim, int) and dim > 0, f"{name}.embedding_dim is {dim!r}, but must be a positive int")
    # Shorter and longer than the training clips, as evaluation clips may be.
    # A shorter and a longer input than the constructor was given: `classify` reads tracks of any length.
    for length in (shape[-1], shape[-1] * 3 // 5, 2 * shape[-1]):
        item = (*shape[:-1], length)
        signal = noise(2, item)
        before = signal.clone()
        embedding = forward(name, backbone, signal, f"on a batch of {tuple(signal.shape)}")
        require(
            isinstance(embedding, Tensor) and embedding.shape == (2, dim),
            f"{name} maps {tuple(signal.shape)} to {getattr(embedding, 'shape', type(embedding))}, but must give "
            f"(2, {dim}), one embedding of embedding_dim for an item, at any length: pool over time",
        )
        require(torch.equal(signal, before), f"{name} changes its input: copy it before an operation in place")


def check_finite(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that noise, silence and full scale give finite numbers, in training and in evaluation mode."""
    # -1 is the floor of a log-mel spectrogram.
    # -1 is the floor of LogMel's decibels.
    silence = -torch.ones(2, *shape) if backbone.takes == "mel" else torch.zeros(2, *shape)
    for training in (True, False):
        backbone.train(training)
        for kind, signal in {
            "noise": noise(2, shape),
            "silence": silence,
            "full scale": torch.ones(2, *shape),
        }.items():
            mode = "training" if training else "eval"
            embedding = forward(name, backbone, signal, f"in {mode} on {kind}")
            require(
                bool(embedding.isfinite().all()),
                f"{name} gives NaN or infinity in {mode} on {kind}: look for a division by a deviation, a norm or "
                "a maximum that can be 0, and for a logarithm of 0",
            )


def check_gradients(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that every trainable parameter gets a gradient."""
    backbone.train().zero_grad()
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        return  # A frozen encoder, on which a head is trained.
    embedding = forward(name, backbone, noise(4, shape), "in training")
    require(embedding.requires_grad, f"{name} detaches its output from the parameters that are to be trained")
    # Random gradients: with equal ones, the gradient before a normalisation would be 0.
    torch.autograd.backward(embedding, torch.randn_like(embedding))
    without = [
        key for key, parameter in backbone.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    require(
        not without,
        f"{name} leaves parameters without a gradient: {', '.join(without[:5])}. They would not be trained, and "
        "training on several GPUs raises an error. Use them in forward, or remove them, or freeze them by "
        "requires_grad_(False)",
    )
    backbone.zero_grad()


def check_batch(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that, in evaluation mode, the embedding of an item is reproducible and independent of the batch."""
    signal = noise(3, shape)
    together = embed(name, backbone, signal)
    require(
        torch.equal(together, embed(name, backbone, signal)),
        f"{name} gives another embedding each time in eval: draw random numbers only where self.training is true",
    )
    require_close(
        together[:1],
        embed(name, backbone, signal[:1]),
        f"{name} in eval gives an item another embedding when it is alone than in a batch: a score would depend on "
        "the batch size. Normalise within an item, or by batch norm, which in eval uses its running statistics",
    )
