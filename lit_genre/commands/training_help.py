"""The help of fit, validate, test and predict: the options that people use, and where the others are."""

import shutil
import textwrap
from importlib.metadata import entry_points
from typing import Final

from lit_genre.commands.source_docs import read_arguments

PARTS: Final = ("data", "model", "trainer")
"""Parts of a run whose options `--help PART` shows in full."""

_SUMMARIES: Final = {
    "fit": "Train a network: decode the audio if that is not done, train, validate each epoch, and keep the best and "
    "the last checkpoint in a run folder in runs/.",
    "validate": "Compute the scores of a checkpoint on the validation split of its data.",
    "test": "Compute the scores of a checkpoint on the test split of its data, and write tables and pictures into the "
    "run folder.",
    "predict": "Write the genre probabilities of each track of the test split, or of the files of PredictDataModule.",
}

_EXAMPLES: Final = {
    "fit": (
        "fit --config crnn",
        "fit --config crnn --config recipes/modern --data.subset=medium",
        "fit --config crnn --data FolderDataModule --data.path Music/genres",
        "fit --ckpt_path last",
    ),
    "validate": ("validate --ckpt_path best",),
    "test": ("test --ckpt_path best", "test --ckpt_path crnn.ckpt --data.root data"),
    "predict": (
        "predict --ckpt_path best",
        "predict --ckpt_path best --data PredictDataModule --data.path Music",
    ),
}

_DATA: Final = "lit_genre.data.datamodules.base.TrackDataModule"
_MODEL: Final = "lit_genre.model.classifier.GenreClassifier"

_DATA_OPTIONS: Final = ("root", "batch_size", "num_workers", "sampling", "exclude", "preload", "cache_mel")
_MODEL_OPTIONS: Final = ("clip_seconds", "augment", "class_weights", "loss", "optimizer", "scheduler")
_TRAINER_OPTIONS: Final = {
    "max_epochs": "Number of epochs (default: 70)",
    "accelerator": "cpu, gpu, mps or auto (default: auto)",
    "devices": "Number of devices, or a list of their indices (default: auto)",
    "precision": "32-true, bf16-mixed or 16-mixed (default: 32-true)",
    "logger": "false for none; TensorBoardLogger, CSVLogger, ... (default: W&B)",
    "default_root_dir": "Folder of the run (default: a new folder in runs/)",
    "limit_train_batches": "Use only this number or part of the batches, for a trial",
}


def training_help(command: str) -> str:
    """Return the help of a command.

    Args:
        command: "fit", "validate", "test" or "predict".

    Returns:
        The text, at most 100 columns wide.
    """
    width = min(100, shutil.get_terminal_size().columns)
    lines = [
        f"usage: lit-genre {command} [--config NAME ...] [--data DATASET] [--model.backbone BACKBONE] [OPTION ...]",
        "",
        *textwrap.wrap(_SUMMARIES[command], width),
    ]
    for title, options in _sections(command).items():
        lines += ["", f"{title}:", *(line for name, text in options.items() for line in _option(name, text, width))]
    lines += ["", "examples:", *(f"  lit-genre {example}" for example in _EXAMPLES[command])]
    return "\n".join(lines) + "\n"


def option_names(command: str) -> list[str]:
    """Return the options that the help of a command lists, such as `--config`."""
    names = {name.partition(" ")[0].partition("=")[0] for options in _sections(command).values() for name in options}
    return ["--help", *sorted(names)]


def _sections(command: str) -> dict[str, dict[str, str]]:
    data = {"--data DATASET": f"{_names('lit_genre.datamodules')} (default: FMADataModule)"}
    data |= {"--data.subset": "Of FMA: small, medium, large or full (default: small)"}
    data |= _options("data", _DATA, _DATA_OPTIONS)
    sections = {
        "configurations and run": _run_options(command),
        f"data (all: lit-genre {command} --help data, for the data set that --data names)": data,
    }
    if command == "fit":
        model = {
            "--model.backbone BACKBONE": _names("lit_genre.backbones"),
            "--model.backbone.help=CRNN": "Show the options of a backbone",
            **_options("model", _MODEL, _MODEL_OPTIONS),
        }
        sections["model (all: lit-genre fit --help model)"] = model
    trainer = {f"--trainer.{name}": text for name, text in _TRAINER_OPTIONS.items()}
    if command != "fit":
        trainer = {name: text for name, text in trainer.items() if not name.endswith(("epochs", "train_batches"))}
    sections[f"trainer (all: lit-genre {command} --help trainer)"] = trainer
    return sections


def _run_options(command: str) -> dict[str, str]:
    options = {
        "--config NAME": "A YAML file, or the name of a shipped configuration such as crnn, data/demo or "
        "recipes/modern; later ones override earlier ones, and options override both",
        "--ckpt_path CHECKPOINT": "Required: a path; best, the best checkpoint of the newest finished run; or last",
        "--print_config": "Print the configuration after all other options, and exit",
        "--trust": "Follow everything that the checkpoint and its run name; this can run any code",
    }
    if command == "fit":
        options["--ckpt_path CHECKPOINT"] = (
            "Resume a run: a path; last, of the newest run; best; or auto, which resumes the run in "
            "--trainer.default_root_dir or starts it"
        )
        options["--seed_everything"] = "Seed of weights, clips and batches (default: 0)"
        options["--select_by"] = "Metric that selects the epoch of best.ckpt, such as val/loss; or last"
    if command == "test":
        options["--calibrate"] = (
            "First fit the temperature of the probabilities on the validation split, and store it in the checkpoint"
        )
    return options


def _options(part: str, class_path: str, names: tuple[str, ...]) -> dict[str, str]:
    arguments = read_arguments(class_path)
    # None and False say less than the sentence before them.
    defaults = {name: value.strip("'\"") for name in names if (value := arguments[name].default) not in ("None", "()")}
    return {
        f"--{part}.{name}": arguments[name].help
        + (f" (default: {default})" if (default := defaults.get(name, "")) and not default.isupper() else "")
        for name in names
    }


def _names(group: str) -> str:
    """Return the names that installed packages declare, without importing them."""
    return ", ".join(sorted({point.name for point in entry_points(group=group)}))


def _option(name: str, text: str, width: int) -> list[str]:
    indent = " " * 30
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
    if len(name) > 26:
        return [f"  {name}", *lines]
    return [f"  {name:<28}{lines[0].lstrip()}", *lines[1:]]
