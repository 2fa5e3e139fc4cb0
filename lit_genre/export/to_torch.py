"""Write and run a model as a file of torch.export, for programs with torch and without lit-genre."""

import json
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.export.program import capture, describe
from lit_genre.model.classifier import GenreClassifier

METADATA: Final = "lit_genre.json"


def write_program(model: GenreClassifier, path: Path) -> None:
    """Write a model as .pt2; labels, sample rate and so on are in its extra file `lit_genre.json`.

    Args:
        model: The model, on the CPU, in evaluation mode.
        path: File to write.

    Raises:
        LitGenreError: torch.export cannot capture the model.
    """
    program = capture(model)
    with path.open("wb") as file, warnings.catch_warnings():
        # A warning about weights that are adjacent in memory, as those of an LSTM are.
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(program, file, extra_files={METADATA: json.dumps(describe(model))})


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a file.

    Args:
        path: The file.

    Returns:
        `labels`, `sample_rate` and the other entries of `lit_genre.export.program.describe`.
    """
    extra = {METADATA: ""}
    with path.open("rb") as file:
        torch.export.load(file, extra_files=extra)
    return dict(json.loads(extra[METADATA]))


def run_program(path: Path, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a file of torch.export.

    Args:
        path: The file.
        waveform: Waveforms of full scale 1, float32, shape (b, n).

    Returns:
        Probabilities, float32, shape (b, c).
    """
    with path.open("rb") as file:
        program = torch.export.load(file)
    with torch.inference_mode():
        return np.asarray(program.module()(torch.from_numpy(waveform)).numpy())
