"""The command `lit-genre`: import the module of a command, and pass it the other arguments."""

import argparse
import errno
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import NamedTuple

from lit_genre import __version__
from lit_genre.errors import LitGenreError
from lit_genre.text import printable

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, as shells set it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Command(NamedTuple):
    """A command.

    Attributes:
        target: Its function, `module:function`.
        summary: Its line in the help.
    """

    target: str
    summary: str


COMMANDS = {
    "prepare": Command("lit_genre.prepare.command:prepare", "download, verify, unpack and decode FMA"),
    "fit": Command("lit_genre.cli.training:run", "train a model"),
    "validate": Command("lit_genre.cli.training:run", "score a checkpoint on the validation split"),
    "test": Command("lit_genre.cli.training:run", "score a checkpoint on the test split"),
    "predict": Command("lit_genre.cli.training:run", "write the probabilities of each genre for each track"),
    "classify": Command("lit_genre.inference.classify:run", "predict the genres of your own music"),
    "similar": Command("lit_genre.inference.similar:run", "list the songs whose embeddings are most similar"),
    "export": Command("lit_genre.export.command:run", "write a checkpoint as ONNX, torch.export or for the Hub"),
    "serve": Command("lit_genre.serve.command:run", "open a page in the browser to try a model"),
    "compare": Command("lit_genre.compare.command:compare", "train configurations over several seeds and compare them"),
    "baseline": Command("lit_genre.baseline.command:run", "train and test the MFCC baseline on the data of a fit"),
    "probe": Command("lit_genre.probe.command:run", "train a head on the embeddings of a frozen backbone"),
    "runs": Command("lit_genre.runs.command:run", "list the runs with their scores"),
    "backbones": Command(
        "lit_genre.backbones.command:list_backbones", "list the installed backbones with size and speed"
    ),
    "new-backbone": Command("lit_genre.scaffold.command:new_backbone", "write a package for your own architecture"),
    "audit": Command(
        "lit_genre.audit.command:run",
        "check data for leaks, duplicates, silence, incomplete tracks and label errors",
    ),
    "demo": Command("lit_genre.demo.write:write_demo", "write a small synthetic data set in FMA's layout"),
}


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line.

    An error that the user can correct ends with one message on stderr and exit status 1, a wrong command line with 2.

    Args:
        args: Arguments after `lit-genre`; None for those of the process.
    """
    args = list(sys.argv[1:] if args is None else args)
    # Only the first argument: the parser of a command is built when its module is imported.
    name = _parser().parse_args(args[:1]).command
    module, function = COMMANDS[name].target.split(":")
    try:
        _check_checkpoint(args)
        target = getattr(import_module(module), function)
        if module == "lit_genre.cli.training":
            # One function for four commands: it needs the name.
            target(args)
        elif function == "run":
            target(args[1:])
        else:
            from jsonargparse import auto_cli

            auto_cli(target, args=_spell_out_flags(target, _find_configs(args[1:])), prog=f"lit-genre {name}")
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if (cause := _user_error(error)) is None:
            raise
        sys.exit(printable(f"lit-genre {name}: {cause}"))


def _check_checkpoint(args: Sequence[str]) -> None:
    """Refuse a --ckpt_path that does not exist before torch is imported, which takes seconds."""
    from lit_genre.runs.folder import BEST, LAST
    from lit_genre.runs.locate import AUTO, find_checkpoint

    pairs = pairwise([*args, ""])
    values = [value for option, value in pairs if option == "--ckpt_path"]
    values += [option.partition("=")[2] for option in args if option.startswith("--ckpt_path=")]
    for value in values:
        # The others print which checkpoint they mean, and are found when the command runs.
        if value not in (AUTO, BEST, LAST, "", "null"):
            find_checkpoint(value)


def _find_configs(words: list[str]) -> list[str]:
    """Replace the name of a shipped configuration after --config by its path."""
    from lit_genre.cli.parsing.configs import find_config

    found = [find_config(word) if before == "--config" else word for before, word in pairwise(["", *words])]
    return [f"--config={find_config(word[9:])}" if word.startswith("--config=") else word for word in found]


def _spell_out_flags(function: Callable[..., object], words: list[str]) -> list[str]:
    """Replace --flag by --flag=true: jsonargparse needs a value."""
    flags = {f"--{name}" for name, kind in function.__annotations__.items() if kind is bool}
    # The word after a flag may be its value: --json true.
    return [
        f"{word}=true" if word in flags and following not in ("true", "false") else word
        for word, following in pairwise([*words, ""])
    ]


def _user_error(error: BaseException | None) -> BaseException | None:
    """Return the user's error in a chain of errors: jsonargparse wraps errors of constructors in its own."""
    while error is not None:
        # An OSError with a file name is a file that cannot be read or written; that of a full disk may have none.
        if isinstance(error, LitGenreError) or (
            isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL)
        ):
            return error
        error = error.__cause__ or error.__context__
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre",
        description="Music genre classification on the Free Music Archive with PyTorch Lightning.",
        epilog="lit-genre COMMAND --help prints the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lit-genre {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.summary, add_help=False)
    return parser


if __name__ == "__main__":
    main()
