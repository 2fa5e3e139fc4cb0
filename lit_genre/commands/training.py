"""The commands fit, validate, test and predict."""

import sys
from collections.abc import Sequence

from lit_genre.commands.training_help import PARTS, training_help
from lit_genre.errors import LitGenreError


def run(args: Sequence[str]) -> None:
    """Run one of the commands.

    Args:
        args: The command and its arguments.

    Raises:
        LitGenreError: An argument is wrong, or the command fails by an error of the user.
        SystemExit: After --help.
    """
    command, *options = args
    part = _asked_part(options)
    if part == "":
        sys.stdout.write(training_help(command))
        sys.exit(0)
    from lit_genre.cli.part_help import print_part_help
    from lit_genre.cli.training import run_training

    if part is None:
        run_training(args)
    else:
        # The positional value of --help is no option of the parser.
        others = [option for option in options if option not in ("-h", "--help", part, f"--help={part}")]
        print_part_help(command, part, others)


def _asked_part(options: Sequence[str]) -> str | None:
    """Return the part after --help; "" for --help alone, None without --help.

    Raises:
        LitGenreError: There is no such part.
    """
    for position, option in enumerate(options):
        if option in ("-h", "--help"):
            following = options[position + 1] if position + 1 < len(options) else ""
            part = "" if following.startswith("-") else following
        elif option.startswith("--help="):
            part = option.partition("=")[2]
        else:
            continue
        if part and part not in PARTS:
            raise LitGenreError(f"--help {part}: there is no such page. Use --help, or --help {' or '.join(PARTS)}.")
        return part
    return None
