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
from lit_genre.export import SUFFIXES, TOLERANCES
from lit_genre.export.check import PredictFunction, check_probabilities
from lit_genre.export.to_hub import write_hub
from lit_genre.export.to_onnx import run_onnx, write_onnx
from lit_genre.export.to_torch import run_program, write_program
from lit_genre.export.to_web import MODEL, describe_use, find_runtime, write_web
from lit_genre.inference.load import load_model
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import find_checkpoint


def export_checkpoint(options: argparse.Namespace) -> None:
    """Load a checkpoint and export it.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: The checkpoint cannot be loaded or exported, the output exists, or --weights is for another
            format.
    """
    if options.weights != "float32" and options.format not in ("onnx", "web"):
        raise LitGenreError(
            f"--weights {options.weights} is for onnx and web, but --format is {options.format}. Leave out --weights."
        )
    runtime = find_runtime(options.runtime) if options.format == "web" else None
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
    if output.exists() and not (options.format in ("hub", "web") and output.is_dir() and not any(output.iterdir())):
        raise LitGenreError(f"{output} exists already. Set another --output, or delete it.")
    checkpoint = source if source.is_file() else None
    settings = (options.license, options.trust, options.weights, runtime)
    export(model, options.format, output, options.check, checkpoint, *settings)


def export(
    model: GenreClassifier,
    format: str,
    output: Path,
    songs: list[Path],
    checkpoint: Path | None = None,
    license: str | None = None,
    trust: bool = False,
    weights: str = "float32",
    runtime: Path | None = None,
) -> None:
    """Write a model in a format, if the exported model has the same probabilities as the checkpoint.

    Args:
        model: The model, on the CPU, in evaluation mode.
        format: "onnx", "torch_export", "hub" or "web".
        output: File to write, or the folder for "hub" and "web"; missing parent folders are created.
        songs: Audio files for the comparison, in addition to noise, silence and a synthetic song.
        checkpoint: Checkpoint of the model, for the model card; None if it is not known.
        license: Licence of the weights, for the model card; None if it is not decided.
        trust: Whether the exported folder may name any class, as for `load_model`.
        weights: Type of the weights in an ONNX file: "float32", "float16" or "int8".
        runtime: Folder with the files of onnxruntime-web for "web"; None to leave them out.

    Raises:
        LitGenreError: The model cannot be exported, the probabilities differ by more than `TOLERANCES` allows, or a
            song cannot be read.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    # Next to the output, so that the move is a rename: an interruption leaves no half-written output.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        written = Path(folder) / (output.name or "model")
        predict = _write(model, format, written, checkpoint, license, trust, weights, runtime)
        difference = check_probabilities(model, predict, songs, TOLERANCES[weights])
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        # `run` allows an empty folder as output, into which `move` would put a subfolder.
        if output.is_dir():
            output.rmdir()
        shutil.move(written, output)
    console.print(f"Written: {output} ({size / 1e6:.2f} MB)")
    console.print(
        f"Largest difference of a probability from the checkpoint: {difference:.1g} (allowed: {TOLERANCES[weights]:g})"
    )
    for line in describe_use(output, runtime) if format == "web" else ():
        console.print(line)


def _write(
    model: GenreClassifier,
    format: str,
    path: Path,
    checkpoint: Path | None,
    license: str | None,
    trust: bool,
    weights: str,
    runtime: Path | None,
) -> PredictFunction:
    """Write a model, and return a function that runs what was written; the arguments are those of `export`."""
    if format == "hub":
        write_hub(model, path, checkpoint, license)
        return partial(_run_model, load_model(path, trust=trust))
    if format == "web":
        write_web(model, path, runtime, weights)
        return partial(run_onnx, path / MODEL)
    if format == "onnx":
        write_onnx(model, path, weights)
        return partial(run_onnx, path)
    write_program(model, path)
    return partial(run_program, path)


def _run_model(model: GenreClassifier, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy())
