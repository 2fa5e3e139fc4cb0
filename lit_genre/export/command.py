"""Write a checkpoint as a file for other programs, after comparing their probabilities."""

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.export import SUFFIXES
from lit_genre.export.check import TOLERANCE, check_probabilities
from lit_genre.export.to_hub import write_hub
from lit_genre.export.to_onnx import run_onnx, write_onnx
from lit_genre.export.to_torch import run_program, write_program
from lit_genre.inference.load import load_model
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import find_checkpoint


def export_checkpoint(options: argparse.Namespace) -> None:
    """Load a checkpoint and export it.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: The checkpoint cannot be loaded or exported, or the output exists.
    """
    source = Path(options.ckpt_path).expanduser()
    if not source.is_dir():
        source = find_checkpoint(options.ckpt_path)
    # A model card reads tables of the run, which must not be links to other files of this machine.
    if (run := RunFolder.of_checkpoint(source)) and not options.trust:
        run.check_links()
    model = load_model(source, trust=options.trust)
    if options.temperature is not None:
        model.set_temperature(options.temperature)
    name = f"{type(model.backbone).__name__}{SUFFIXES[options.format]}"
    output = options.output or Path(name)
    if output.exists() and not (options.format == "hub" and output.is_dir() and not any(output.iterdir())):
        raise LitGenreError(f"{output} exists already. Set another --output, or delete it.")
    checkpoint = source if source.is_file() else None
    export(model, options.format, output, options.check, checkpoint, options.license, options.trust)


def export(
    model: GenreClassifier,
    format: str,
    output: Path,
    songs: list[Path],
    checkpoint: Path | None = None,
    license: str | None = None,
    trust: bool = False,
) -> None:
    """Write a model in a format, if the exported model has the same probabilities as the checkpoint.

    Args:
        model: The model, on the CPU, in evaluation mode.
        format: "onnx", "torch_export" or "hub".
        output: File to write, or the folder for "hub"; missing parent folders are created.
        songs: Audio files for the comparison, in addition to noise, silence and a synthetic song.
        checkpoint: Checkpoint of the model, for the model card; None if it is not known.
        license: Licence of the weights, for the model card; None if it is not decided.
        trust: Whether the exported folder may name any class, as for `load_model`.

    Raises:
        LitGenreError: The model cannot be exported, the probabilities differ by more than `TOLERANCE`, or a song cannot
            be read.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    # Next to the output, so that the move is a rename: an interruption leaves no half-written output.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        written = Path(folder) / (output.name or "model")
        if format == "hub":
            write_hub(model, written, checkpoint, license)
            predict = partial(_run_model, load_model(written, trust=trust))
        else:
            write, run_file = {"onnx": (write_onnx, run_onnx), "torch_export": (write_program, run_program)}[format]
            write(model, written)
            predict = partial(run_file, written)
        difference = check_probabilities(model, predict, songs)
        # `run` allows an empty folder as output, into which `move` would put a subfolder.
        if output.is_dir():
            output.rmdir()
        shutil.move(written, output)
    console.print(f"Written: {output}")
    console.print(f"Largest difference of a probability from the checkpoint: {difference:.1g} (allowed: {TOLERANCE:g})")


def _run_model(model: GenreClassifier, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy())
