"""Write and run a model as an ONNX file."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.errors import LitGenreError
from lit_genre.export.program import (
    INPUT,
    OUTPUT,
    cannot_export,
    capture_graph,
    dynamic_recurrence_length,
    model_metadata,
)
from lit_genre.model.classifier import GenreClassifier


def write_onnx(model: GenreClassifier, path: Path) -> None:
    """Write a model as ONNX, with the entries of `model_metadata` in the metadata of the file.

    An entry that is not text is stored as JSON, because ONNX stores only text.

    Args:
        model: The model, on the CPU, in evaluation mode.
        path: File to write.

    Raises:
        LitGenreError: The packages for ONNX are not installed, torch.export cannot capture the model, or it has an
            operator that ONNX lacks.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise LitGenreError("To export to ONNX, in a clone of the repository: pip install -e '.[onnx]'.") from error
    program = capture_graph(model)
    with _quiet(), dynamic_recurrence_length():
        try:
            exported = torch.onnx.export(program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT])
        except Exception as error:  # torch raises many kinds of errors about a user's network.
            raise cannot_export(model, error) from error
    assert exported is not None
    properties = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in model_metadata(model).items()
    }
    exported.model.metadata_props.update(properties)
    exported.save(path)


def run_onnx(path: Path, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute probabilities with an ONNX file and onnxruntime, on the CPU.

    Args:
        path: The file that `write_onnx` wrote.
        waveform: Waveforms of full scale 1, float32, shape (b, n).

    Returns:
        Probabilities, float32, 0 to 1, shape (b, c).
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: waveform})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, whose messages are for the developers of torch and not for a user of this command."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
