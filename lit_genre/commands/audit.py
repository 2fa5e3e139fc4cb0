"""The command `audit`: check a data set for errors, and write lists of tracks for `--data.exclude`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lit_genre.commands.arguments import new_parser
from lit_genre.errors import LitGenreError, check_at_least


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "audit",
        "Check a data set for leaks between splits, duplicates, silence, short, incomplete and undecodable tracks, and "
        "doubtful labels. Writes a CSV for each, of tracks that a run can leave out by --data.exclude. The audio is "
        "decoded into the store that training uses, unless it is there. Options of fit name the data; those of the "
        "model and the trainer are ignored.",
        (
            "audit --data.root=data --data.subset=small",
            "audit --data FolderDataModule --data.path Music/genres --output audit/music",
            "audit --config data/gtzan --data.root data/gtzan --verify",
        ),
        usage="%(prog)s [OPTIONS] [OPTIONS OF lit-genre fit FOR THE DATA ...]",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("audit"),
        help="folder for the lists; existing lists, which may be edited, are not replaced (default: %(default)s)",
    )
    parser.add_argument(
        "--decode",
        choices=("true", "false"),
        default="true",
        help="decode the audio; if false, only metadata and file hashes are checked (default: %(default)s)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare the decoded audio in the store with its checksums; tracks that differ are decoded again",
    )
    parser.add_argument(
        "--silent_db",
        type=float,
        default=-60.0,
        help="a track or second counts as silent below this root mean square, dB of full scale (default: %(default)s)",
    )
    parser.add_argument(
        "--silent_share",
        type=float,
        default=0.9,
        help="a track is listed if this part of its seconds is silent, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--short_share",
        type=float,
        default=0.9,
        help="a track is short below this part of 30 s, or of the median length if that is less (default: %(default)s)",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        help="test.csv or predictions.csv of a run, whose probabilities are used to check the labels of its tracks "
        "instead of those of a simple classifier; the model must not have been trained on these tracks",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=5,
        help="number of folds of artists; the labels of each fold are checked by a classifier trained on the others "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the assignment of artists to folds (default: %(default)s)"
    )
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: The options of the command line, without the name of the command.

    Raises:
        LitGenreError: The data cannot be read, or an option is invalid.
    """
    options, data_args = parser().parse_known_args(args)
    check_at_least(folds=(options.folds, 2), seed=(options.seed, 0))
    check_at_least(silent_share=(options.silent_share, 0), short_share=(options.short_share, 0))
    if options.verify and options.decode == "false":
        raise LitGenreError("--verify reads the decoded audio. Leave out --decode=false.")
    from lit_genre.audit.command import audit

    audit(options, data_args)
