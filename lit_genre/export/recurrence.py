"""Keep LSTMs and GRUs whole in an exported graph.

torch.export unrolls them: 646 steps for a clip of 30 s, and the length of the graph is fixed to that of the example.
The function modes of this module replace the call of torch.lstm or torch.gru, to which torch.nn.LSTM and torch.nn.GRU
lead, by a single operator.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.onnx.ops import symbolic_multi_out
from torch.overrides import TorchFunctionMode


class _Replaced(TorchFunctionMode):
    """Calls a replacement of torch.lstm and torch.gru inside the context."""

    def __init__(self, replacements: dict[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.replacements = replacements

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Call the replacement if there is one and it is for these arguments."""
        call = self.replacements[func] if func in self.replacements and _is_plain(args) else func
        return call(*args, **(kwargs or {}))


def _is_plain(args: tuple[Any, ...]) -> bool:
    """Return whether arguments of torch.lstm or torch.gru are neither a packed sequence nor those of a projection."""
    # A packed sequence has its weights in the place of this flag, and a projection makes states of two sizes.
    has_biases, hx = args[3], args[1]
    return isinstance(has_biases, bool) and (isinstance(hx, Tensor) or hx[0].shape[-1] == hx[1].shape[-1])


# Operators of torch.library are not decomposed. Their arguments are those of torch.lstm and torch.gru.


@torch.library.custom_op("lit_genre::lstm", mutates_args=())
def _lstm(
    input: Tensor,
    hx: list[Tensor],
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute an LSTM as torch.lstm does."""
    return torch.lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)


@torch.library.custom_op("lit_genre::gru", mutates_args=())
def _gru(
    input: Tensor,
    hx: Tensor,
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Compute a GRU as torch.gru does."""
    return torch.gru(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)


@_lstm.register_fake
def _lstm_shapes(input: Tensor, hx: list[Tensor], *options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return empty tensors of the shapes that an LSTM returns."""
    states, last = _gru_shapes(input, hx[0], *options)
    return states, last, torch.empty_like(hx[1])


@_gru.register_fake
def _gru_shapes(input: Tensor, hx: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    """Return empty tensors of the shapes that a GRU returns."""
    bidirectional = options[5]
    return input.new_empty(*input.shape[:2], hx.shape[2] * (2 if bidirectional else 1)), torch.empty_like(hx)


def kept_recurrence() -> TorchFunctionMode:
    """Return a context in which an LSTM or a GRU is one operator of lit-genre.

    Returns:
        The context, for the capture of a program on which `restore_recurrence` is called.
    """
    return _Replaced({torch.lstm: torch.ops.lit_genre.lstm, torch.gru: torch.ops.lit_genre.gru})


def restore_recurrence(program: ExportedProgram) -> None:
    """Replace the operators of lit-genre by those of torch, which a program without lit-genre can run.

    Args:
        program: A captured program; its graph is changed.
    """
    originals = {
        torch.ops.lit_genre.lstm.default: torch.ops.aten.lstm.input,
        torch.ops.lit_genre.gru.default: torch.ops.aten.gru.input,
    }
    for node in program.graph.nodes:
        node.target = originals.get(node.target, node.target)
    program.graph_module.recompile()


def onnx_recurrence() -> TorchFunctionMode:
    """Return a context in which each layer of an LSTM or a GRU is one operator of ONNX.

    Returns:
        The context, for the capture of a program that torch.onnx.export writes.
    """
    return _Replaced({torch.lstm: partial(_by_onnx, "LSTM"), torch.gru: partial(_by_onnx, "GRU")})


# torch's order of the gates is input, forget, cell, output, and reset, update, new.
_GATES: Final = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""Positions, in torch's weights, of the gates in the order of ONNX: i, o, f, c and z, r, h."""


def _by_onnx(
    kind: str,
    input: Tensor,
    hx: Sequence[Tensor] | Tensor,
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Compute what torch.lstm or torch.gru does, by operators of ONNX."""
    first = [hx] if isinstance(hx, Tensor) else hx
    n_directions, per_direction = (2 if bidirectional else 1), (4 if has_biases else 2)
    states, last = input.transpose(0, 1) if batch_first else input, []
    for layer in range(num_layers):
        directions = range(layer * n_directions, (layer + 1) * n_directions)
        weights = [params[i * per_direction : (i + 1) * per_direction] for i in directions]
        initial = [state[layer * n_directions : (layer + 1) * n_directions] for state in first]
        states, *final = _layer(kind, states, initial, weights)
        last.append(final)
    return (
        states.transpose(0, 1) if batch_first else states,
        *(torch.cat(layers) for layers in zip(*last, strict=True)),
    )


def _layer(kind: str, input: Tensor, initial: list[Tensor], weights: list[list[Tensor]]) -> tuple[Tensor, ...]:
    """Compute one layer: input of shape (steps, b, c), initial states of shape (directions, b, d) each."""
    (steps, batch, _), (n_directions, _, dim) = input.shape, initial[0].shape

    def reordered(weight: Tensor) -> Tensor:
        return torch.cat([weight[gate * dim : (gate + 1) * dim] for gate in _GATES[kind]])

    # For each direction: weights of the input, weights of the state and, if there are biases, both biases.
    of_input, of_state, *biases = (
        torch.stack([reordered(weight) for weight in part]) for part in zip(*weights, strict=True)
    )
    bias = torch.cat(biases, 1) if biases else None
    attributes: dict[str, Any] = {
        "hidden_size": dim,
        "direction": "bidirectional" if n_directions == 2 else "forward",
    }
    if kind == "GRU":
        # torch multiplies the state by its weights before the reset gate.
        attributes["linear_before_reset"] = 1
    outputs = symbolic_multi_out(
        kind,
        (input, of_input, of_state, bias, None, *initial),
        attributes,
        dtypes=[input.dtype] * (1 + len(initial)),
        shapes=[(steps, n_directions, batch, dim), *(tuple(state.shape) for state in initial)],
    )
    return outputs[0].transpose(1, 2).reshape(steps, batch, n_directions * dim), *outputs[1:]
