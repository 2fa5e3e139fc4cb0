"""Write and run a model as a torch.export program, for programs that have torch and not lit-genre."""

import json
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.export.program import capture_graph, model_metadata
from lit_genre.export.recurrence import kept_recurrence, restore_recurrence
from lit_genre.model.classifier import GenreClassifier

METADATA: Final = "lit_genre.json"
"""Name of the extra file with the metadata, inside the .pt2 file."""


def write_program(model: GenreClassifier, path: Path) -> None:
    """Write a model as .pt2, with the entries of `model_metadata` in the extra file `lit_genre.json`.

    Args:
        model: The model, on the CPU, in evaluation mode.
        path: File to write.

    Raises:
        LitGenreError: torch.export cannot capture the model.
    """
    program = capture_graph(model, model.frontend, kept_recurrence())
    restore_recurrence(program)
    with path.open("wb") as file, warnings.catch_warnings():
        # A warning about weights that are adjacent in memory, as those of an LSTM are.
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(program, file, extra_files={METADATA: json.dumps(model_metadata(model))})


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a .pt2 file.

    Args:
        path: The file that `write_program` wrote.

    Returns:
        `labels`, `sample_rate` and the other entries of `lit_genre.export.program.model_metadata`.
    """
    # torch.export.load fills in the values of the names that it is given.
    extra = {METADATA: ""}
    with path.open("rb") as file:
        torch.export.load(file, extra_files=extra)
    return dict(json.loads(extra[METADATA]))


def run_program(path: Path, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute probabilities with a torch.export program, on the CPU.

    Args:
        path: The file that `write_program` wrote.
        waveform: Waveforms of full scale 1, float32, shape (b, n).

    Returns:
        Probabilities, float32, 0 to 1, shape (b, c).
    """
    with path.open("rb") as file:
        program = torch.export.load(file)
    with torch.inference_mode():
        return np.asarray(program.module()(torch.from_numpy(waveform)).numpy())
