"""The command `similar`: list songs with similar embeddings, from a file of `classify --embeddings`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lit_genre.commands.arguments import add_device, add_trust, new_parser
from lit_genre.errors import check_at_least


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "similar",
        "List the songs whose embeddings are most similar to the embedding of a given song.",
        (
            "classify Music --embeddings embeddings.npz",
            "similar embeddings.npz song.mp3",
            "similar embeddings.npz other.mp3 --ckpt_path best --top_k 5",
        ),
    )
    parser.add_argument("embeddings", metavar="EMBEDDINGS", type=Path, help="file written by `classify --embeddings`")
    parser.add_argument("song", metavar="SONG", type=Path, help="a song in that file; with --ckpt_path, any audio file")
    # No default: a song that is in the file needs no model.
    parser.add_argument(
        "--ckpt_path",
        metavar="CHECKPOINT",
        help="checkpoint that wrote the embeddings, for a song that is not in the file; as for `classify`",
    )
    parser.add_argument("--top_k", type=int, default=10, help="number of songs (default: %(default)s)")
    add_device(parser)
    add_trust(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: The file of embeddings cannot be used, or the song is neither in it nor can be embedded.
    """
    # With argparse: jsonargparse would read arguments that are paths of files as YAML.
    options = parser().parse_args(args)
    check_at_least(top_k=(options.top_k, 1))
    from lit_genre.inference.similar import list_similar

    list_similar(options)
