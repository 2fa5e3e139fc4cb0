"""The command `export`: write a checkpoint as a file for other programs, after comparing both."""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.export.check import TOLERANCE, check_same
from lit_genre.export.to_hub import write_hub
from lit_genre.export.to_onnx import run_onnx, write_onnx
from lit_genre.export.to_torch import run_program, write_program
from lit_genre.inference.load import add_trust_argument, load_model
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import find_checkpoint

SUFFIXES: Final = {"onnx": ".onnx", "torch_export": ".pt2", "hub": ""}


def run(args: Sequence[str]) -> None:
    """Run the command."""
    options = _parser().parse_args(args)
    source = Path(options.checkpoint).expanduser()
    if not source.is_dir():
        source = find_checkpoint(options.checkpoint)
    if (run := RunFolder.of_checkpoint(source)) and not options.trust:
        run.check_links()
    model = load_model(source, trust=options.trust)
    name = f"{type(model.backbone).__name__}{SUFFIXES[options.format]}"
    output = options.output or Path(name)
    if output.exists() and not (options.format == "hub" and output.is_dir() and not any(output.iterdir())):
        raise LitGenreError(f"{output} is there already: name another file behind the checkpoint, or delete it.")
    export(
        model,
        options.format,
        output,
        options.check,
        source if source.is_file() else None,
        options.license,
        options.trust,
    )


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

    Raises:
        LitGenreError: The model cannot be exported, or the result differs from it.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        written = Path(folder) / (output.name or "model")
        if format == "hub":
            write_hub(model, written, checkpoint, license)
            again = load_model(written, trust=trust)
            run = partial(_run_model, again)
        else:
            write, run_file = {"onnx": (write_onnx, run_onnx), "torch_export": (write_program, run_program)}[format]
            write(model, written)
            run = partial(run_file, written)
        worst = check_same(model, run, songs)
        if output.is_dir():
            output.rmdir()
        shutil.move(written, output)
    console.print(f"Written: {output}")
    console.print(f"Largest difference of a probability from the checkpoint: {worst:.1g} (allowed: {TOLERANCE:g})")


def _run_model(model: GenreClassifier, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre export",
        description="Export a trained model, with its front-end, as a graph from waveforms to probabilities.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt, or best or last for the newest run")
    parser.add_argument(
        "output", metavar="OUTPUT", nargs="?", type=Path, help="file or folder (default: the backbone's name)"
    )
    parser.add_argument("--format", choices=list(SUFFIXES), default="onnx", help="default: %(default)s")
    parser.add_argument(
        "--check",
        type=Path,
        nargs="+",
        default=[],
        metavar="SONG",
        help="audio files for the comparison, in addition to noise and a synthetic song",
    )
    parser.add_argument(
        "--license", help="licence of the weights for the model card, as the Hub writes it: cc-by-nc-4.0, ..."
    )
    add_trust_argument(parser)
    return parser
