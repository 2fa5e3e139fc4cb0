"""The arguments that several commands have in common, with the same names and the same help."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lit_genre.errors import LitGenreError


def new_parser(name: str, description: str, examples: Sequence[str], **options: str) -> argparse.ArgumentParser:
    """Return the parser of a command, with examples below its help.

    Args:
        name: Name of the command.
        description: What the command does, in one or more sentences.
        examples: Command lines without `lit-genre`.
        **options: `usage`, and `notes`, a paragraph between the options and the examples.

    Returns:
        The parser, which takes no abbreviations of options: an option of `fit` must not be taken for another.
    """
    lines = [options["notes"], ""] if "notes" in options else []
    lines += ["examples:", *(f"  lit-genre {example}" for example in examples)]
    return argparse.ArgumentParser(
        prog=f"lit-genre {name}",
        usage=options.get("usage"),
        description=description,
        epilog="\n".join(lines),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )


class _Formatter(argparse.HelpFormatter):
    """Wraps the description, and keeps the lines of the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        head, separator, examples = text.partition("examples:")
        head = super()._fill_text(head, width, indent) if head else ""
        blank = "\n\n" if head and separator else ""
        return head + blank + separator + examples


def add_ckpt_path(parser: argparse.ArgumentParser) -> None:
    """Add `--ckpt_path`: the model, by default that of the newest finished run."""
    parser.add_argument(
        "--ckpt_path",
        metavar="CHECKPOINT",
        default="best",
        help="a .ckpt file; a folder of lit-genre export --format hub; best, the best checkpoint of the newest "
        "finished run in runs/; or last, the last checkpoint of the newest run (default: %(default)s)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )


def add_temperature(parser: argparse.ArgumentParser) -> None:
    """Add `--temperature`, which replaces the temperature of the checkpoint."""
    parser.add_argument(
        "--temperature",
        type=float,
        help="divisor of the logits, above 0; 1 for uncalibrated probabilities (default: that of the checkpoint, which "
        "lit-genre test --calibrate fits)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add `--trust`, by which a user trusts the author of a file."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the classes and use the files that the checkpoint or its run names; this can run any code",
    )


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    """Add `--output` of a command that writes a run."""
    parser.add_argument("--output", type=Path, help="folder of the run (default: a new folder in runs/)")


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add `--format` of a command that prints a list."""
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), default="table", help="format of the list (default: %(default)s)"
    )


def check_suffix(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file whose name does not end in one of the suffixes.

    Args:
        option: The option that names the file.
        path: The file; None if the option is not given.
        suffixes: Such as ".csv".

    Raises:
        LitGenreError: The name has another suffix.
    """
    if path is not None and path.suffix not in suffixes:
        raise LitGenreError(f"{option} {path}: the name must end in {' or '.join(suffixes)}.")
