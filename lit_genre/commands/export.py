"""The command `export`: write a checkpoint as a file for other programs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lit_genre.commands.arguments import add_ckpt_path, add_temperature, add_trust, new_parser
from lit_genre.export import SUFFIXES, TOLERANCES


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "export",
        "Export a trained model with its front-end: it computes probabilities from waveforms. It is written only "
        "if its probabilities are those of the checkpoint.",
        (
            "export --output CRNN.onnx",
            "export --weights float16 --output CRNN_float16.onnx",
            "export --format torch_export --output CRNN.pt2 --check song.mp3",
            "export --format hub --output CRNN --license cc-by-nc-4.0",
            "export --format web --output page",
        ),
    )
    add_ckpt_path(parser)
    parser.add_argument(
        "--output", type=Path, help="new file, or new folder for hub or web (default: the backbone's name)"
    )
    parser.add_argument(
        "--format",
        choices=list(SUFFIXES),
        default="onnx",
        help="ONNX, a torch.export program, a folder for the Hugging Face Hub, or a folder with a page that runs the "
        "model in the browser (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        choices=list(TOLERANCES),
        default="float32",
        help="type of the weights in an ONNX file: float16 or int8 for a smaller file (default: %(default)s)",
    )
    parser.add_argument(
        "--check",
        type=Path,
        nargs="+",
        default=[],
        metavar="SONG",
        help="audio files for the comparison, in addition to noise, silence and a synthetic song",
    )
    parser.add_argument(
        "--license", help="licence of the weights for the model card, as the Hub spells it: cc-by-nc-4.0, ..."
    )
    parser.add_argument(
        "--runtime",
        type=Path,
        metavar="FOLDER",
        help="for web, folder dist of the npm package onnxruntime-web (default: that in ./node_modules, if any)",
    )
    add_temperature(parser)
    add_trust(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: The checkpoint cannot be loaded or exported, or the output exists.
    """
    options = parser().parse_args(args)
    from lit_genre.export.command import export_checkpoint

    export_checkpoint(options)
