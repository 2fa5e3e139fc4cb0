"""The command `lit-genre`: import the module of a command, and pass it the other arguments."""

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from lit_genre import __version__
from lit_genre.commands.table import COMMANDS, overview
from lit_genre.errors import LitGenreError
from lit_genre.text import printable

INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, as shells set it."""

BROKEN_PIPE = 128 + 13
"""Exit status after the reader of the output has ended; 13 is SIGPIPE, which Windows does not have."""

WRONG_USAGE = 2
"""Exit status after a wrong command line, as argparse sets it."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line.

    An error that the user can correct ends with one message on stderr and exit status 1, a wrong command line with 2.

    Args:
        args: Arguments after `lit-genre`; None for those of the process.
    """
    args = list(sys.argv[1:] if args is None else args)
    _accept_any_text()
    name = _read_command(args)
    module, function = COMMANDS[name].target.split(":")
    try:
        _check_checkpoint(args)
        # One function for the four commands of Lightning: it needs the name.
        is_training = module == "lit_genre.commands.training"
        getattr(import_module(module), function)(args if is_training else args[1:])
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        # Lightning, and commands that print how to resume, end with status 1 after Ctrl-C.
        if not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        if isinstance(ended.code, str):
            sys.stderr.write(printable(f"{ended.code}\n"))
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has ended. Python's flush at the exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        if (cause := _user_error(error)) is None:
            raise
        sys.exit(printable(f"lit-genre {name}: {cause}"))


def _accept_any_text() -> None:
    """Escape the characters that stdout cannot encode, instead of raising an error, as stderr does.

    On Windows, output that goes to a file or a pipe has an encoding with 256 characters.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _check_checkpoint(args: Sequence[str]) -> None:
    """Refuse a --ckpt_path that does not exist before torch is imported, which takes seconds."""
    from lit_genre.runs.folder import BEST, LAST
    from lit_genre.runs.locate import AUTO, find_checkpoint

    pairs = pairwise([*args, ""])
    values = [value for option, value in pairs if option == "--ckpt_path"]
    values += [option.partition("=")[2] for option in args if option.startswith("--ckpt_path=")]
    for value in values:
        # The others print which checkpoint they mean, and are found when the command runs.
        is_hub_folder = Path(value).expanduser().is_dir()
        if value not in (AUTO, BEST, LAST, "", "null") and not is_hub_folder:
            find_checkpoint(value)


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


def _read_command(args: Sequence[str]) -> str:
    """Return the name of the command; print the help or the version, or an error, if there is none."""
    name = args[0] if args else "--help"
    if name in ("-h", "--help"):
        sys.stdout.write(overview())
        sys.exit(0 if args else WRONG_USAGE)
    if name == "--version":
        sys.stdout.write(f"lit-genre {__version__}\n")
        sys.exit(0)
    if name not in COMMANDS:
        similar = get_close_matches(name, COMMANDS)
        hint = f"Did you mean {' or '.join(similar)}?" if similar else f"The commands are {', '.join(COMMANDS)}."
        sys.stderr.write(printable(f"lit-genre {name}: there is no such command. {hint}\n"))
        sys.exit(WRONG_USAGE)
    return name


if __name__ == "__main__":
    main()
