"""Capture a trained model as a graph from waveforms to probabilities, for any batch size and length."""

import copy
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch._decomp import decomposition_table
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import InputKind

from lit_genre import __version__
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier

INPUT: Final = "waveform"
OUTPUT: Final = "probabilities"

# The ways in which messages of torch.export and of the ONNX exporter name an operator, such as aten.linalg_eigh.
_OPERATOR: Final = re.compile(r"(?:op='|for |operator |\b)((?:aten|prims|torchvision|torchaudio)[.:]+\w+(?:\.\w+)?)")


class _Probabilities(nn.Module):
    """The parts of a model from the waveform to the probabilities, without what training needs."""

    def __init__(self, model: GenreClassifier) -> None:
        super().__init__()
        self.frontend, self.mean_normalization, self.backbone, self.head = (
            model.frontend,
            model.mean_normalization,
            model.backbone,
            model.head,
        )
        self.multilabel, self.temperature = model.task == "multilabel", model.temperature

    def forward(self, waveform: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(self.mean_normalization(self.frontend(waveform)))).float()
        # Without a division by 1, which would be a step of the exported graph.
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return scaled.sigmoid() if self.multilabel else scaled.softmax(-1)


def capture_graph(model: GenreClassifier) -> ExportedProgram:
    """Capture a model as a graph for any batch size and length.

    Args:
        model: The model, on the CPU, in evaluation mode.

    Returns:
        The graph. Its input `waveform` is float32 of full scale 1, shape (b, n), with n at least the length of the
        training clips. Its output `probabilities` is float32, 0 to 1, shape (b, c).

    Raises:
        LitGenreError: torch.export cannot capture the model.
    """
    # Two waveforms: torch.export treats a dimension of size 1 as a constant.
    example = torch.rand(2, model.clip_samples, generator=torch.Generator().manual_seed(0)) - 0.5
    shapes = {INPUT: {0: Dim.DYNAMIC, 1: Dim.DYNAMIC(min=model.clip_samples)}}
    module = _Probabilities(model).eval()
    with torch.no_grad(), dynamic_recurrence_length(), warnings.catch_warnings():
        # A warning about LSTM: torch collects its weights in a list in forward.
        warnings.filterwarnings("ignore", message="The tensor attributes? ")
        try:
            program = export(module, (example,), dynamic_shapes=shapes)
            if unused := _unused_buffers(program):
                # These buffers are mostly kernels of nnAudio, which are larger than the networks.
                module = copy.deepcopy(module)
                for name in unused:
                    parent, _, attribute = name.rpartition(".")
                    setattr(module.get_submodule(parent), attribute, torch.empty(0))
                program = export(module, (example,), dynamic_shapes=shapes)
            return program
        except Exception as error:  # torch raises many kinds of errors about a user's network.
            raise cannot_export(model, error) from error


def _unused_buffers(program: ExportedProgram) -> list[str]:
    """Return the names of the buffers that no operation of a graph reads."""
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    return [
        str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.BUFFER and spec.arg.name not in used
    ]


def cannot_export(model: GenreClassifier, error: BaseException) -> LitGenreError:
    """Return the error of a failed export, with the operator that caused it if torch names it.

    Args:
        model: The model.
        error: Error that torch raised.

    Returns:
        The error to raise.
    """
    texts = []
    # torch wraps the error that names the operator into others.
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    operators = sorted({name.replace("::", ".") for text in texts for name in _OPERATOR.findall(text)})
    reason = next((line.strip() for text in reversed(texts) for line in text.splitlines() if line.strip()), "")
    obstacle = f"the operator {', '.join(operators)}" if operators else "code that torch cannot capture"
    return LitGenreError(
        f"{type(model.backbone).__name__} cannot be exported because it uses {obstacle}: "
        f"{type(error).__name__}: {reason}"
    )


def model_metadata(model: GenreClassifier) -> dict[str, Any]:
    """Return the metadata that a program needs to run the graph.

    Args:
        model: The model.

    Returns:
        Data for JSON: `labels` in the order of the probabilities, `sample_rate`, Hz, `clip_samples`, the smallest
        length of a waveform, `task`, `backbone` and `lit_genre`, the version of this package.
    """
    return {
        "labels": model.classes,
        "sample_rate": model.sample_rate,
        "clip_samples": model.clip_samples,
        "task": model.task,
        "backbone": type(model.backbone).__name__,
        "lit_genre": __version__,
    }


@contextmanager
def dynamic_recurrence_length() -> Iterator[None]:
    """Make torch.export compute the shapes of an LSTM or a GRU without unrolling it.

    torch 2.14 unrolls them, which takes long and fixes the length of the graph to that of the example.
    """
    # Interfaces of torch that are not public: an update of torch beyond the bound in pyproject.toml may break this.
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    with ExitStack() as replaced:
        for operator, shapes in ((torch.ops.aten.lstm.input, _lstm_shapes), (torch.ops.aten.gru.input, _gru_shapes)):
            # The cache has the functions found so far; it is cleared on entry and, by the callback, on exit.
            replaced.callback(operator._dispatch_cache.clear)
            replaced.enter_context(_entry(operator.py_kernels, key, shapes))
            replaced.enter_context(_entry(decomposition_table, operator, shapes))
            operator._dispatch_cache.clear()
        yield


@contextmanager
def _entry(table: dict[Any, Any], key: Any, value: Any) -> Iterator[None]:
    """Replace an entry of a table inside the context."""
    # The whole table is restored, because a lookup inside the context may add entries.
    before = dict(table)
    table[key] = value
    try:
        yield
    finally:
        table.clear()
        table.update(before)


def _lstm_shapes(input: Tensor, hx: list[Tensor], *options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return empty tensors of the shapes that an LSTM returns."""
    states, last = _gru_shapes(input, hx[0], *options)
    return states, last, torch.empty_like(hx[1])


def _gru_shapes(
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
    """Return empty tensors of the shapes that a GRU returns."""
    return input.new_empty(*input.shape[:2], hx.shape[2] * (2 if bidirectional else 1)), torch.empty_like(hx)
