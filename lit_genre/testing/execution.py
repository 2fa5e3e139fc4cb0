"""Checks that a backbone runs in other processes, on other devices, under autocast and under torch.compile."""

import copy
import pickle
import re
import warnings

import torch

from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.testing.requirements import embed, forward, noise, require, require_close


def check_pickle(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that the backbone can be pickled, as training in several processes requires."""
    try:
        copied = pickle.loads(pickle.dumps(backbone))
    except Exception as error:
        raise AssertionError(
            f"{name} cannot be pickled ({type(error).__name__}: {error}), which training in several processes needs: "
            "keep no lambda, generator or open file in it"
        ) from error
    signal = noise(2, shape)
    require_close(
        embed(name, backbone, signal), embed(name, copied, signal), f"{name} gives another embedding after pickling"
    )


def check_device(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that the whole backbone moves to another device: torch's meta device, which needs no GPU."""
    moved = copy.deepcopy(backbone).eval().to("meta")
    try:
        with torch.no_grad():
            moved(noise(2, shape).to("meta"))
    except Exception as error:
        # Other errors mean that forward reads values, which tensors on the meta device do not have.
        require(
            not re.search("(same|expected) device", str(error)),
            f"{name} does not move to another device as a whole ({error}), so it would fail on a GPU: register what it "
            "computes with as parameters or buffers, and make new tensors on the input's device (mel.new_zeros(...))",
        )


def check_autocast(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that the backbone can be trained under bfloat16 autocast, `--trainer.precision=bf16-mixed`."""
    backbone.train()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = forward(name, backbone, noise(2, shape), "under bfloat16 autocast")
    require(bool(embedding.isfinite().all()), f"{name} gives NaN or infinity under bfloat16 autocast")
    if not embedding.requires_grad:
        return
    try:
        torch.autograd.backward(embedding, torch.ones_like(embedding))
    except RuntimeError as error:
        raise AssertionError(f"{name} has no backward pass under bfloat16 autocast: {error}") from error
    backbone.zero_grad()


def check_compile(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Check that the backbone has the same embeddings under torch.compile; graph breaks are allowed."""
    from torch._dynamo import is_dynamo_supported

    if not is_dynamo_supported():
        return  # torch.compile does not support this version of Python or this system.
    signal = noise(2, shape)
    expected = embed(name, backbone, signal)
    # Without the reset, code that was compiled for an earlier backbone counts towards the limit of recompilations.
    torch.compiler.reset()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Warnings of torch.compile about caches of libraries are not faults of the backbone.
            warnings.simplefilter("ignore")
            # backend="eager" traces only; other backends generate code, which needs a C++ compiler.
            traced = torch.compile(backbone, backend="eager")(signal)
    except Exception as error:
        raise AssertionError(
            f"{name} does not run under torch.compile: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error
    finally:
        torch.compiler.reset()
    require_close(expected, traced, f"{name} gives another embedding under torch.compile")
