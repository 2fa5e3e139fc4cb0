"""The table of commands, in groups, as `lit-genre --help` prints it."""

from typing import Final, NamedTuple

from lit_genre import __version__

_WIDTH: Final = 14
"""Columns of the longest name of a command, and two."""


class Command(NamedTuple):
    """A command.

    Attributes:
        target: Its function, `module:function`, which takes the arguments after its name.
        summary: Its line in the help.
    """

    target: str
    summary: str


_HERE: Final = "lit_genre.commands"

GROUPS: Final = {
    "data": {
        "prepare": Command(f"{_HERE}.functions:prepare", "download, verify, unpack and decode FMA"),
        "demo": Command(f"{_HERE}.functions:demo", "write a small synthetic data set in FMA's format"),
        "audit": Command(f"{_HERE}.audit:run", "check data for leaks, duplicates, silence and label errors"),
        "datasets": Command(f"{_HERE}.datasets:run", "list the installed data sets"),
    },
    "training": {
        "fit": Command(f"{_HERE}.training:run", "train a network, or resume a run"),
        "probe": Command(f"{_HERE}.probe:run", "train a head on the embeddings of a frozen backbone"),
        "baseline": Command(f"{_HERE}.baseline:run", "train and test the MFCC baseline on the data of a fit"),
        "backbones": Command(f"{_HERE}.backbones:run", "list the installed backbones with size and cost"),
    },
    "evaluation": {
        "validate": Command(f"{_HERE}.training:run", "score a checkpoint on the validation split"),
        "test": Command(f"{_HERE}.training:run", "score a checkpoint on the test split"),
        "compare": Command(f"{_HERE}.functions:compare", "train configurations over several seeds and compare them"),
        "runs": Command(f"{_HERE}.runs:run", "list the runs with their scores"),
    },
    "use": {
        "classify": Command(f"{_HERE}.classify:run", "predict the genres of your own music, and sort it"),
        "tags": Command(f"{_HERE}.tags:run", "describe your music by the tags of a pretrained tagger"),
        "similar": Command(f"{_HERE}.similar:run", "list the songs whose embeddings are most similar"),
        "serve": Command(f"{_HERE}.serve:run", "open a page in the browser to try a model"),
        "predict": Command(f"{_HERE}.training:run", "write the genre probabilities of each track of a data set"),
        "export": Command(f"{_HERE}.export:run", "write a model as ONNX, torch.export or for the Hub"),
    },
    "development": {
        "new-backbone": Command(f"{_HERE}.functions:new_backbone", "write a package for your own architecture"),
    },
}

COMMANDS: Final = {name: command for group in GROUPS.values() for name, command in group.items()}


def overview() -> str:
    """Return the help of `lit-genre` itself."""
    lines = [
        "usage: lit-genre COMMAND [OPTION ...]",
        "",
        f"Music genre classification with PyTorch Lightning, version {__version__}.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<{_WIDTH}}{command.summary}" for name, command in commands.items())]
    lines += [
        "",
        "options:",
        f"  {'-h, --help':<{_WIDTH}}show this help; lit-genre COMMAND --help shows that of a command",
        f"  {'--version':<{_WIDTH}}show the version",
        "",
        "examples:",
        "  lit-genre demo",
        "  lit-genre fit --config crnn --config data/demo",
        "  lit-genre test --ckpt_path best",
        "  lit-genre classify song.mp3",
    ]
    return "\n".join(lines) + "\n"
