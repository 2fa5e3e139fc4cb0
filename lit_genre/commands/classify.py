"""The command `classify`: predict the genres of audio files."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lit_genre.commands.arguments import (
    add_ckpt_path,
    add_device,
    add_temperature,
    add_trust,
    check_suffix,
    new_parser,
)
from lit_genre.data.metadata.audio_files import SOME_UNREADABLE
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.inference import FORMATS, STDOUT


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "classify",
        "Predict the genre of each file, or of each audio file in a folder, from the whole recording.",
        (
            "classify song.mp3 Music",
            "classify Music --output genres.csv --embeddings embeddings.npz",
            "classify Music --output - --format json | jq .genre",
            "classify Music --copy Sorted --yes",
            'classify Music --zero-shot "techno,house,ambient"',
        ),
        notes=f"Exit status: 0 if all files were read, {SOME_UNREADABLE} if some could not be read, 1 if none could.",
    )
    add_ckpt_path(parser)
    parser.add_argument(
        "--zero-shot",
        metavar="NAMES",
        help="genres, separated by commas, that no model was trained on: the audio is compared with these words by "
        "CLAP, instead of a trained model. Needs plugins/transformers",
    )
    parser.add_argument(
        "--clap",
        default="laion/larger_clap_music",
        metavar="MODEL",
        help="CLAP for --zero-shot: a name on the Hugging Face hub or a folder (default: %(default)s)",
    )
    add_files(parser, top_k=3)
    sorting = parser.add_mutually_exclusive_group()
    for option in ("copy", "move"):
        sorting.add_argument(
            f"--{option}",
            type=Path,
            metavar="FOLDER",
            help=f"{option} each file into FOLDER/GENRE; without --yes, only print what would be done. Files with an "
            "existing name get a number; nothing is replaced",
        )
    parser.add_argument("--yes", action="store_true", help="carry out --copy or --move")
    add_temperature(parser)
    add_device(parser)
    add_trust(parser)
    return parser


def add_files(parser: argparse.ArgumentParser, top_k: int) -> None:
    """Add the arguments for audio files, their predictions, and how they are read.

    Args:
        parser: The parser of a command.
        top_k: Default number of classes of each file.
    """
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files and folders")
    parser.add_argument(
        "--output",
        type=Path,
        help="write a .csv or .jsonl file; an existing file is replaced; - for the standard output",
    )
    parser.add_argument(
        "--format",
        choices=("csv", "json"),
        help="format of --output: csv, or json for one JSON object a line (default: by the suffix; csv for -)",
    )
    parser.add_argument("--top_k", type=int, default=top_k, help="number of genres of each file (default: %(default)s)")
    parser.add_argument("--segments", action="store_true", help="also write the prediction of each clip to --output")
    parser.add_argument(
        "--embeddings", type=Path, help="write the embedding of each file to an .npz file, for `lit-genre similar`"
    )
    parser.add_argument("--batch_size", type=int, help="clips in a batch (default: 20 s of audio on a CPU)")
    # Up to `workers` + 1 decoded songs are in memory, so a limit matters on machines with many cores.
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="decoding threads (default: %(default)s)"
    )


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: An argument is wrong, the model cannot be loaded, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    # With argparse: jsonargparse would read arguments that are paths of files as YAML.
    options = parser().parse_args(args)
    check_options(options)
    if options.yes and not (options.copy or options.move):
        raise LitGenreError("--yes carries out --copy or --move. Set one of them.")
    from lit_genre.inference.classify import classify, classify_with

    if options.zero_shot is None:
        classify(options)
        return
    from lit_genre.inference.published import load_zero_shot

    names = [name.strip() for name in options.zero_shot.split(",")]
    description = f"Comparing the audio with {len(names)} names by {options.clap}, without training"
    classify_with(partial(load_zero_shot, names, "CLAP", options.clap), description, options)


def check_options(options: argparse.Namespace) -> None:
    """Check the arguments of `add_files`, and fill in --format.

    Args:
        options: Parsed arguments.

    Raises:
        LitGenreError: An argument is wrong.
    """
    batch_size = 1 if options.batch_size is None else options.batch_size
    check_at_least(top_k=(options.top_k, 1), workers=(options.workers, 1), batch_size=(batch_size, 1))
    check_suffix("--embeddings", options.embeddings, (".npz",))
    _check_output(options)


def _check_output(options: argparse.Namespace) -> None:
    """Check --output, and fill in --format."""
    if options.output is None:
        for name in ("segments", "format"):
            if getattr(options, name):
                raise LitGenreError(f"--{name} needs a file. Set --output, or --output - for the standard output.")
    elif options.output == STDOUT:
        options.format = options.format or "csv"
        if options.segments and options.format == "csv":
            raise LitGenreError("--segments writes a second CSV file. Set --output to a file, or --format json.")
    else:
        check_suffix("--output", options.output, tuple(FORMATS))
        by_suffix = FORMATS[options.output.suffix]
        if options.format not in (None, by_suffix):
            raise LitGenreError(
                f"--output {options.output} is for {by_suffix}, but --format is {options.format}. Leave out --format."
            )
        options.format = by_suffix
