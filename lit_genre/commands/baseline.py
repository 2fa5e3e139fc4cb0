"""The command `baseline`: train and test a classifier on statistics of MFCCs and spectra."""

import argparse
from collections.abc import Sequence
from typing import get_args

from lit_genre.baseline import Kind
from lit_genre.commands.arguments import add_run_folder, new_parser
from lit_genre.features import Features


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "baseline",
        "Train a scikit-learn classifier on statistics of MFCCs, and test it, on the same splits as a network. A "
        "network should be more accurate than this baseline. Options of fit name the data; those of the model and the "
        "trainer are ignored.",
        (
            "baseline --data.root=data",
            "baseline --classifier logistic --config data/demo",
            "baseline --features mfcc+spectral --data FolderDataModule --data.path Music/genres",
        ),
        usage="%(prog)s [OPTIONS] [OPTIONS OF lit-genre fit FOR THE DATA ...]",
    )
    parser.add_argument(
        "--classifier",
        choices=get_args(Kind),
        default="svm",
        help="a support vector machine with a Gaussian kernel, or logistic regression (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        choices=get_args(Features),
        default="mfcc",
        help="statistics over time of MFCCs and their deltas, or of these, spectral contrast and spectral centroid "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--class_weights",
        action="store_true",
        help="weight the training tracks so that all genres have the same total weight",
    )
    add_run_folder(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: The options of the command line, without the name of the command.

    Raises:
        LitGenreError: The data cannot be read or has only one genre, the folder has a run, or an option is invalid.
    """
    options, run_args = parser().parse_known_args(args)
    from lit_genre.baseline.command import train_baseline

    train_baseline(options, run_args)
