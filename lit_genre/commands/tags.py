"""The command `tags`: describe audio files by the tags of a pretrained tagger."""

import argparse
from collections.abc import Sequence
from functools import partial

from lit_genre.commands.arguments import add_device, new_parser
from lit_genre.commands.classify import add_files, check_options
from lit_genre.data.metadata.audio_files import SOME_UNREADABLE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "tags",
        "Describe each file, or each audio file in a folder, by the tags of a pretrained tagger, without training. "
        "MusiCNN has 50 tags of Last.fm: genres, moods, instruments, decades. It is in plugins/musicnn. Each tag has "
        "a probability of its own; compare those of a tag between songs rather than those of different tags.",
        ("tags song.mp3", "tags Music --output tags.csv --top_k 5", "tags Music --tagger MusiCNN-MTT"),
        notes=f"Exit status: 0 if all files were read, {SOME_UNREADABLE} if some could not be read, 1 if none could.",
    )
    parser.add_argument(
        "--tagger",
        default="MusiCNN",
        help="entry point of the tagger; MusiCNN-MTT has the 50 tags of MagnaTagATune (default: %(default)s)",
    )
    add_files(parser, top_k=5)
    add_device(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: An argument is wrong, the tagger is not installed, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    options = parser().parse_args(args)
    check_options(options)
    from lit_genre.inference.classify import classify_with
    from lit_genre.inference.published import load_tagger

    classify_with(
        partial(load_tagger, options.tagger), f"Tags of {options.tagger}, with its published weights", options
    )
