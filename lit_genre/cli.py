"""GenreCLI: wires data, model and trainer from YAML and options; the only module where data and model meet."""

import argparse
import json
import logging
import warnings
from collections.abc import Sequence
from copy import copy
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from lit_genre.errors import LitGenreError
from lit_genre.logger import finish_wandb
from lit_genre.model.classifier import GenreClassifier
from lit_genre.parser import GenreParser
from lit_genre.plugins import backbones
from lit_genre.run_folder import find_checkpoint, new_run_folder, read_hyperparameters, run_folder_of


class RunConfig(SaveConfigCallback):
    """Writes a fit's whole resolved configuration into the run's folder and to the loggers."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml; a resumed run writes it again."""
        if stage != "fit":
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        # Without the checkpoint of a resumed run: the file is the recipe, to be run anew.
        config = copy(self.config)
        config.ckpt_path = None
        self.parser.save(config, folder / "config.yaml", skip_none=False, overwrite=True, multifile=False)
        for logger in trainer.loggers:
            logger.log_hyperparams(self.config.as_dict())


class GenreCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the data follow what the model hears, and the model know the names of the data's genres."""
        parser.link_arguments("model.sample_rate", "data.init_args.sample_rate")
        parser.link_arguments("model.clip_seconds", "data.init_args.clip_seconds")
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Put what a checkpoint says of itself in front of the user's arguments, which override it."""
        assert isinstance(args, list)
        command, *options = args
        asked, options = _ckpt_path(options)
        self.checkpoint = find_checkpoint(asked) if asked else None
        known: list[str] = []
        if self.checkpoint is not None:
            hyperparameters = read_hyperparameters(self.checkpoint)
            folder = run_folder_of(self.checkpoint)
            if command == "fit" and folder is not None:
                known = ["--config", str(folder / "config.yaml")]
            else:
                known = ["--config", json.dumps({"model": hyperparameters})]
            options += ["--ckpt_path", str(self.checkpoint)]
        self.config = parser.parse_args([command, *known, *options])
        if self.checkpoint is None and self.config[command].ckpt_path:
            raise LitGenreError("ckpt_path belongs on the command line: --ckpt_path PATH, or best, or last.")
        if self.checkpoint is not None:
            _check_backbone(self.config[command].model.backbone, hyperparameters["backbone"], self.checkpoint)

    def before_instantiate_classes(self) -> None:
        """Name the run's folder, and send there what the configuration sends nowhere in particular."""
        config = self.config[self.subcommand]
        resumed = self.checkpoint and run_folder_of(self.checkpoint)
        before = config.trainer.default_root_dir
        backbone = config.model.backbone.class_path.rpartition(".")[2]
        folder = str(resumed or before or new_run_folder(backbone))
        if self.subcommand == "fit" and not resumed and (Path(folder) / "metrics.csv").exists():
            raise LitGenreError(
                f"{folder} holds a run already. Go on with it by --ckpt_path {folder}/checkpoints/last.ckpt, or name "
                "another folder by --trainer.default_root_dir."
            )
        config.trainer.default_root_dir = folder
        # Lightning's table of the test metrics; TrackReport prints one that can be read.
        if "verbose" in config:
            config.verbose = False
        for part, key, unset, value in (
            (config.trainer.logger, "save_dir", (None, ".", before), folder),
            (config.trainer.callbacks, "dirpath", (None, f"{before}/checkpoints"), f"{folder}/checkpoints"),
        ):
            for item in part if isinstance(part, list) else [part]:
                init_args = getattr(item, "init_args", None) or {}
                if key in init_args and init_args[key] in unset:
                    init_args[key] = value

    def _parse_ckpt_path(self) -> None:
        """Do nothing: the stock version lets the checkpoint override the user's arguments."""


def _ckpt_path(options: list[str]) -> tuple[str | None, list[str]]:
    """Take --ckpt_path out of the options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path")
    found, rest = parser.parse_known_args(options)
    return found.ckpt_path, rest


def _check_backbone(asked: Namespace, trained: dict[str, Any], checkpoint: Path) -> None:
    names = [path.rpartition(".")[2] for path in (asked.class_path, trained["class_path"])]
    if names[0] != names[1]:
        raise LitGenreError(
            f"{checkpoint} holds a {names[1]}, but the configuration asks for a {names[0]}: "
            "name another checkpoint, or leave out the configuration of the model."
        )


def run(args: Sequence[str]) -> None:
    """Run one of Lightning's commands."""
    _quieten()
    backbones()
    defaults = {"default_config_files": [str(files("lit_genre") / "defaults.yaml")], "allow_abbrev": False}
    failed = True
    try:
        GenreCLI(
            GenreClassifier,
            LightningDataModule,
            subclass_mode_data=True,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            auto_configure_optimizers=False,
            parser_class=GenreParser,
            parser_kwargs={
                "prog": "lit-genre",
                "allow_abbrev": False,
                **dict.fromkeys(("fit", "validate", "test", "predict"), defaults),
            },
            args=list(args),
        )
        failed = False
    finally:
        finish_wandb(failed)


def _quieten() -> None:
    """Drop what Lightning says at every start and nobody can act on."""
    # Lightning 2.6 calls what torch 2.14 deprecates: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    # A resumed run goes on in its own folder.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not record.getMessage().startswith(("💡", "TPU available"))
    )
