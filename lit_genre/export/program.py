"""Capture a trained model as a graph from waveforms to probabilities, for any batch size and length."""

import copy
import re
import warnings
from contextlib import AbstractContextManager
from typing import Any, Final

import torch
from torch import Tensor, nn
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

    def __init__(self, model: GenreClassifier, frontend: nn.Module, recurrence: AbstractContextManager[Any]) -> None:
        super().__init__()
        self.frontend, self.recurrence = frontend, recurrence
        self.mean_normalization, self.backbone, self.layer_pooling, self.head = (
            model.mean_normalization,
            model.backbone,
            model.layer_pooling,
            model.head,
        )
        self.multilabel, self.temperature = model.task == "multilabel", model.temperature

    def forward(self, waveform: Tensor) -> Tensor:
        item = self.mean_normalization(self.frontend(waveform))
        with self.recurrence:
            if self.layer_pooling is None:
                embedding = self.backbone(item)
            else:
                embedding = self.layer_pooling(self.backbone.layer_outputs(item, self.layer_pooling.layers))
        logits: Tensor = self.head(embedding).float()
        # Without a division by 1, which would be a step of the exported graph.
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return scaled.sigmoid() if self.multilabel else scaled.softmax(-1)


def capture_graph(
    model: GenreClassifier, frontend: nn.Module, recurrence: AbstractContextManager[Any]
) -> ExportedProgram:
    """Capture a model as a graph for any batch size and length.

    Args:
        model: The model, on the CPU, in evaluation mode.
        frontend: The front-end of the graph: that of the model, or another that computes the same.
        recurrence: The context in which the backbone is captured, of `lit_genre.export.recurrence`.

    Returns:
        The graph. Its input `waveform` is float32 of full scale 1, shape (b, n), with n at least the length of the
        training clips. Its output `probabilities` is float32, 0 to 1, shape (b, c).

    Raises:
        LitGenreError: torch.export cannot capture the model.
    """
    # Two waveforms: torch.export treats a dimension of size 1 as a constant.
    example = torch.rand(2, model.clip_samples, generator=torch.Generator().manual_seed(0)) - 0.5
    shapes = {INPUT: {0: Dim.DYNAMIC, 1: Dim.DYNAMIC(min=model.clip_samples)}}
    module = _Probabilities(model, frontend, recurrence).eval()
    with torch.no_grad(), warnings.catch_warnings():
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
    """Return the names of the buffers that no operation of a graph reads.

    Single numbers, such as the counters of batch normalisation, are not worth a second capture, which takes seconds.
    """
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    names = [
        str(spec.target)
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.BUFFER and spec.arg.name not in used
    ]
    buffers = dict(program.named_buffers())
    return [name for name in names if name in buffers and buffers[name].numel() > 1]


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
