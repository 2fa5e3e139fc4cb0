"""Check that a backbone keeps the contract that training, testing, resuming and exporting rely on."""

import copy
import inspect
import io
import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from lit_genre.model.backbone import Backbone, InputShape

SHAPES: Final[dict[str, InputShape]] = {"mel": (128, 130), "waveform": (33075,)}
"""What a backbone is checked on: 6 s of the default front-end's frames, or 1.5 s of samples at 22,050 Hz."""

TOLERANCE: Final = 1e-4
"""By how much two ways of computing an embedding may differ, relative to its largest number."""

Factory = Callable[..., Backbone]


class Check(Protocol):
    """A part of the contract: raises AssertionError where a backbone breaks it."""

    def __call__(self, name: str, backbone: Backbone, shape: InputShape) -> None:
        """Check it."""


def check_backbone(backbone: Factory | Backbone, input_shape: InputShape | None = None) -> None:
    """Check that a backbone keeps the contract that training, testing, resuming and exporting rely on.

    Shorter and longer inputs and the shape of what comes out; finite numbers for noise, silence and full scale; a
    gradient for every parameter; in eval, the same embedding for an item whatever else is in the batch, and every
    time; the same after state_dict, pickling and torch.compile; moving to another device; training under bfloat16
    autocast.

    Args:
        backbone: The class, a functools.partial of it, or a backbone that is built. A class is checked more: that it
            needs no argument but the shape, and that a second one takes over the first one's state_dict.
        input_shape: Shape of an item; by default (128, 130), mel bands by frames, or 33,075 samples.

    Raises:
        AssertionError: It breaks the contract; the text says where, why that matters and what to do.
    """
    with _seeded():
        if isinstance(backbone, Backbone):
            _check_takes(backbone)
            shape = input_shape or SHAPES[backbone.takes]
            built, second = copy.deepcopy(backbone), copy.deepcopy(backbone)
            for tensor in second.state_dict().values():
                tensor.zero_()
        else:
            _check_arguments(backbone)
            shape = input_shape or SHAPES[_class_of(backbone).takes]
            built = _build(backbone, shape)
            second = _build(backbone, shape, **_restore_args(built))
        name = type(built).__name__
        rate = built.sample_rate
        _require(
            rate is None or isinstance(rate, int), f"{name}.sample_rate is {rate!r}, but must be None or an int, Hz"
        )
        for check in CHECKS:
            check(name, built, shape)
        _check_second(name, built, second, shape)


def check_shapes(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Inputs of several lengths give (b, embedding_dim), and are left as they were."""
    dim = backbone.embedding_dim
    _require(isinstance(dim, int) and dim > 0, f"{name}.embedding_dim is {dim!r}, but must be a positive int")
    for length in (shape[-1], shape[-1] * 3 // 5, 2 * shape[-1]):
        item = (*shape[:-1], length)
        signal = _noise(2, item)
        before = signal.clone()
        embedding = _forward(name, backbone, signal, f"on a batch of {tuple(signal.shape)}")
        _require(
            isinstance(embedding, Tensor) and embedding.shape == (2, dim),
            f"{name} maps {tuple(signal.shape)} to {getattr(embedding, 'shape', type(embedding))}, but must give "
            f"(2, {dim}), one embedding of embedding_dim for an item, at any length: pool over time",
        )
        _require(torch.equal(signal, before), f"{name} changes its input: copy it before an operation in place")


def check_finite(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Noise, silence and full scale give finite numbers, in training and in eval."""
    silence = -torch.ones(2, *shape) if backbone.takes == "mel" else torch.zeros(2, *shape)
    for training in (True, False):
        backbone.train(training)
        for kind, signal in {
            "noise": _noise(2, shape),
            "silence": silence,
            "full scale": torch.ones(2, *shape),
        }.items():
            mode = "training" if training else "eval"
            embedding = _forward(name, backbone, signal, f"in {mode} on {kind}")
            _require(
                bool(embedding.isfinite().all()),
                f"{name} gives NaN or infinity in {mode} on {kind}: look for a division by a deviation, a norm or "
                "a maximum that can be 0, and for a logarithm of 0",
            )


def check_gradients(name: str, backbone: Backbone, shape: InputShape) -> None:
    """Every parameter that is to be trained gets a gradient."""
    backbone.train().zero_grad()
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        return  # Frozen, to train a head on.
    embedding = _forward(name, backbone, _noise(4, shape), "in training")
    _require(embedding.requires_grad, f"{name} detaches its output from the parameters that are to be trained")
    torch.autograd.backward(embedding, torch.randn_like(embedding))
    without = [
        key for key, parameter in backbone.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    _require(
        not without,
        f"{name} leaves parameters without a gradient: {', '.join(without[:5])}. They would not be trained, and "
        "training on several GPUs stops at them. Use them in forward, or do not make them, or freeze them by "
        "requires_grad_(False)",
    )
    backbone.zero_grad()


def check_batch(name: str, backbone: Backbone, shape: InputShape) -> None:
    """In eval an item's embedding does not depend on what else is in the batch, and is the same every time."""
    signal = _noise(3, shape)
    together = _embed(name, backbone, signal)
    _require(
        torch.equal(together, _embed(name, backbone, signal)),
        f"{name} gives another embedding each time in eval: draw random numbers only where self.training is true",
    )
    _require_close(
        together[:1],
        _embed(name, backbone, signal[:1]),
        f"{name} in eval gives an item another embedding when it is alone than in a batch: a score would depend on "
        "the batch size. Normalise within an item, or by batch norm, which in eval uses its running statistics",
    )


def check_pickle(name: str, backbone: Backbone, shape: InputShape) -> None:
    """It can be pickled, as worker processes and several GPUs need it."""
    try:
        copied = pickle.loads(pickle.dumps(backbone))
    except Exception as error:
        raise AssertionError(
            f"{name} cannot be pickled ({type(error).__name__}: {error}), which training in several processes needs: "
            "keep no lambda, generator or open file in it"
        ) from error
    signal = _noise(2, shape)
    _require_close(
        _embed(name, backbone, signal), _embed(name, copied, signal), f"{name} gives another embedding after pickling"
    )


def check_device(name: str, backbone: Backbone, shape: InputShape) -> None:
    """It moves to another device as a whole; a GPU need not be there, for torch's meta device stands in for one."""
    moved = copy.deepcopy(backbone).eval().to("meta")
    try:
        with torch.no_grad():
            moved(_noise(2, shape).to("meta"))
    except Exception as error:
        # Other errors are of values being asked for, which the meta device has not.
        _require(
            not re.search("(same|expected) device", str(error)),
            f"{name} does not move to another device as a whole ({error}), so it would fail on a GPU: register what it "
            "computes with as parameters or buffers, and make new tensors on the input's device (mel.new_zeros(...))",
        )


def check_autocast(name: str, backbone: Backbone, shape: InputShape) -> None:
    """It trains under bfloat16 autocast, which is `--trainer.precision=bf16-mixed`."""
    backbone.train()
    with torch.autocast("cpu", torch.bfloat16):
        embedding = _forward(name, backbone, _noise(2, shape), "under bfloat16 autocast")
    _require(bool(embedding.isfinite().all()), f"{name} gives NaN or infinity under bfloat16 autocast")
    if not embedding.requires_grad:
        return
    try:
        torch.autograd.backward(embedding, torch.ones_like(embedding))
    except RuntimeError as error:
        raise AssertionError(f"{name} has no backward pass under bfloat16 autocast: {error}") from error
    backbone.zero_grad()


def check_compile(name: str, backbone: Backbone, shape: InputShape) -> None:
    """It runs under torch.compile, with the same embedding; what cannot be traced may stay outside the graph."""
    from torch._dynamo import is_dynamo_supported  # type: ignore[attr-defined]

    if not is_dynamo_supported():
        return  # torch.compile does not know this Python or this system.
    signal = _noise(2, shape)
    expected = _embed(name, backbone, signal)
    torch.compiler.reset()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # What torch.compile has to say of a library's caches is no fault.
            warnings.simplefilter("ignore")
            traced = torch.compile(backbone, backend="eager")(signal)
    except Exception as error:
        raise AssertionError(
            f"{name} does not run under torch.compile: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error
    finally:
        torch.compiler.reset()
    _require_close(expected, traced, f"{name} gives another embedding under torch.compile")


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


def _check_arguments(factory: Factory) -> None:
    """A class needs nothing but the shape, and the defaults of its other arguments are plain data."""
    backbone_class = _class_of(factory)
    name = getattr(backbone_class, "__name__", repr(factory))
    _require(
        isinstance(backbone_class, type) and issubclass(backbone_class, Backbone),
        f"{name} is no subclass of lit_genre.Backbone",
    )
    _check_takes(backbone_class)
    missing = sorted(getattr(backbone_class, "__abstractmethods__", ()))
    _require(not missing, f"{name} has no {' and no '.join(missing)}")
    arguments = list(inspect.signature(factory).parameters.values())
    _require(bool(arguments), f"{name} takes no argument, but is given the shape of an item: input_shape")
    first, *others = arguments
    for argument in others:
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        _require(
            argument.default is not argument.empty,
            f"{name} needs a default for its argument {argument.name}: only {first.name} is given to it unasked",
        )
        try:
            json.dumps(argument.default)
        except TypeError as error:
            raise AssertionError(
                f"the default of {name}'s argument {argument.name} is {argument.default!r}, but must be plain data "
                "(numbers, text, lists, None), for it is written into configurations and checkpoints"
            ) from error


def _check_takes(backbone: Backbone | type[Backbone]) -> None:
    name = getattr(backbone, "__name__", type(backbone).__name__)
    _require(backbone.takes in SHAPES, f"{name}.takes is {backbone.takes!r}, but must be 'mel' or 'waveform'")


def _restore_args(backbone: Backbone) -> dict[str, Any]:
    arguments = backbone.restore_args()
    try:
        json.dumps(arguments)
    except TypeError as error:
        raise AssertionError(
            f"{type(backbone).__name__}.restore_args gives {arguments!r}, but must give plain data (numbers, text, "
            "lists, dicts, None), for it is written into checkpoints"
        ) from error
    return arguments


def _check_second(name: str, first: Backbone, second: Backbone, shape: InputShape) -> None:
    """A second one, as a checkpoint builds it, gives the same embeddings with the first one's state_dict."""
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    try:
        second.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:
        raise AssertionError(
            f"a second {name} cannot load the first one's state_dict ({type(error).__name__}: {error}), so a "
            "checkpoint could not be read: let the constructor make all parameters and buffers"
        ) from error
    signal = _noise(2, shape)
    _require_close(
        _embed(name, first, signal),
        _embed(name, second, signal),
        f"a second {name} with the first one's state_dict gives other embeddings, so a checkpoint would not hold "
        "all of it: make what it computes with a Parameter or a registered buffer",
    )


def _class_of(factory: Factory) -> Any:
    return factory.func if isinstance(factory, partial) else factory


def _build(factory: Factory, shape: InputShape, **restore_args: Any) -> Backbone:
    name = getattr(_class_of(factory), "__name__", repr(factory))
    given = ", ".join([str(shape), *(f"{key}={value!r}" for key, value in restore_args.items())])
    try:
        backbone = factory(shape, **restore_args)
        backbone.embedding_dim  # noqa: B018, for whoever forgot it hears of it here
    except Exception as error:
        raise AssertionError(
            f"{name}({given}) cannot be built, or has no embedding_dim: {type(error).__name__}: {error}"
        ) from error
    return backbone


def _forward(name: str, backbone: Backbone, signal: Tensor, situation: str) -> Tensor:
    try:
        embedding: Tensor = backbone(signal)
    except Exception as error:
        raise AssertionError(f"{name} fails {situation}: {type(error).__name__}: {error}") from error
    return embedding


@torch.no_grad()
def _embed(name: str, backbone: Backbone, signal: Tensor) -> Tensor:
    return _forward(name, backbone.eval(), signal, "in eval")


def _noise(items: int, shape: InputShape) -> Tensor:
    return torch.rand(items, *shape) * 2 - 1


def _require(kept: bool, broken: str) -> None:
    if not kept:
        raise AssertionError(broken)


def _require_close(expected: Tensor, found: Tensor, broken: str) -> None:
    difference = (expected - found).abs().max().item() / max(expected.abs().max().item(), 1e-6)
    _require(difference <= TOLERANCE, f"{broken} (they differ by {difference:.1e} of the largest number)")


@contextmanager
def _seeded() -> Iterator[None]:
    """The same random numbers of torch every time, and none of the caller's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
