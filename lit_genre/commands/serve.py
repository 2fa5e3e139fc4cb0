"""The command `serve`: run a web server on this machine with a page to try a model."""

import argparse
from collections.abc import Sequence

from lit_genre.commands.arguments import add_ckpt_path, add_device, add_trust, new_parser
from lit_genre.errors import LitGenreError, check_at_least


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "serve",
        "Run a web server on this machine, and open its page in the browser to try a model.",
        ("serve", "serve --ckpt_path crnn.ckpt --port 8000 --no_browser"),
    )
    add_ckpt_path(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of the server; 0.0.0.0 admits other machines, without a password (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=7860, help="0 for any free port (default: %(default)s)")
    parser.add_argument(
        "--max_megabytes", type=float, default=100, help="size of the largest file, MB (default: %(default)s)"
    )
    parser.add_argument(
        "--max_seconds", type=float, default=1200, help="length of the longest recording, s (default: %(default)s)"
    )
    parser.add_argument("--no_browser", action="store_true", help="do not open the browser")
    add_device(parser)
    add_trust(parser)
    return parser


def run(args: Sequence[str]) -> None:
    """Run the command until Ctrl-C or SIGTERM.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: An argument is wrong, a package is missing, the port is in use, or the model cannot be loaded.
        SystemExit: The server was ended by a signal.
    """
    options = parser().parse_args(args)
    check_at_least(max_megabytes=(options.max_megabytes, 0.001), max_seconds=(options.max_seconds, 1))
    if not 0 <= options.port <= 65535:
        raise LitGenreError(f"--port is {options.port}, but must be 0 to 65535.")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise LitGenreError("To serve a page, in a clone of the repository: pip install -e '.[serve]'.") from error
    from lit_genre.serve.command import serve

    serve(options)
