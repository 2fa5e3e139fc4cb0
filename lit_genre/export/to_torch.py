"""The graph as a file of torch.export, for programs with torch and without lit-genre."""

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
    """Write a model as .pt2; labels, sample rate and the like are its extra file `lit_genre.json`."""
    program = capture(model)
    with path.open("wb") as file, warnings.catch_warnings():
        # Of weights that lie beside each other in memory, as those of an LSTM do.
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(program, file, extra_files={METADATA: json.dumps(describe(model))})


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what is said of a model in its file."""
    extra = {METADATA: ""}
    with path.open("rb") as file:
        torch.export.load(file, extra_files=extra)
    return dict(json.loads(extra[METADATA]))


def run_program(path: Path, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a file: waveforms, shape (b, n), to probabilities, shape (b, c)."""
    with path.open("rb") as file:
        program = torch.export.load(file)
    with torch.inference_mode():
        return np.asarray(program.module()(torch.from_numpy(waveform)).numpy())
