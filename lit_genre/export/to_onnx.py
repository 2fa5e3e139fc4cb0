"""Write and run a model as an ONNX file."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.errors import LitGenreError
from lit_genre.export.fourier import with_matrix_products
from lit_genre.export.program import INPUT, OUTPUT, cannot_export, capture_graph, model_metadata
from lit_genre.export.recurrence import onnx_recurrence
from lit_genre.model.classifier import GenreClassifier

_ANY_SIZE: Final = 2**31


def write_onnx(model: GenreClassifier, path: Path, weights: str = "float32") -> None:
    """Write a model as ONNX, with the entries of `model_metadata` in the metadata of the file.

    An entry that is not text is stored as JSON, because ONNX stores only text.

    Args:
        model: The model, on the CPU, in evaluation mode.
        path: File to write.
        weights: Type of the weights in the file: "float32", "float16" or "int8".

    Raises:
        LitGenreError: The packages for ONNX are not installed, torch.export cannot capture the model, or it has an
            operator that ONNX lacks.
    """
    try:
        import onnx  # noqa: F401
        from onnxscript.optimizer import optimize
    except ImportError as error:
        raise LitGenreError("To export to ONNX, in a clone of the repository: pip install -e '.[onnx]'.") from error
    program = capture_graph(model, with_matrix_products(model.frontend), onnx_recurrence())
    with _quiet():
        try:
            exported = torch.onnx.export(program, dynamo=True, input_names=[INPUT], output_names=[OUTPUT])
        except Exception as error:  # torch raises many kinds of errors about a user's network.
            raise cannot_export(model, error) from error
    assert exported is not None
    # Without limits of size, so that the weights of an LSTM, which are in another order than torch's, are constants.
    optimize(exported.model, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE)
    properties = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in model_metadata(model).items()
    }
    exported.model.metadata_props.update(properties)
    with _quiet():
        _save(exported, path, weights)


def _save(exported: torch.onnx.ONNXProgram, path: Path, weights: str) -> None:
    """Save a program with weights of a type, as `write_onnx` does."""
    import onnx

    from lit_genre.export.weights import store_half, write_int8

    if weights == "float32":
        exported.save(path)
    elif weights == "float16":
        model = exported.model_proto
        store_half(model)
        onnx.save(model, path)
    else:
        write_int8(exported.model_proto, path)


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
    # onnxruntime's quantization writes to the root logger, which would get a handler if it had none.
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx", "onnxscript", "onnx_ir")]
    handler = logging.NullHandler()
    loggers[0].addHandler(handler)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
