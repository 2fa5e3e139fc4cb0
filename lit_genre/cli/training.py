"""GenreCLI: wires data, model and trainer from YAML and options; the only module where data and model meet."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_genre.callbacks import leaves_files
from lit_genre.callbacks.defaults import with_default_callbacks
from lit_genre.callbacks.first_step import FirstStep
from lit_genre.cli.arguments import (
    fitting_defaults,
)
from lit_genre.cli.command_line import read_command_line
from lit_genre.cli.options import add_options
from lit_genre.cli.process import preemptible
from lit_genre.cli.restore import (
    check_backbone,
    check_optimization,
    check_places,
    check_resumable,
)
from lit_genre.cli.run_config import follow_task, name_run
from lit_genre.cli.start import MISFIT, start
from lit_genre.data.datamodules.predict import PredictDataModule
from lit_genre.data.metadata.audio_files import report_incomplete, report_unreadable
from lit_genre.errors import LitGenreError
from lit_genre.loggers.wandb import finish_wandb
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import discard_empty_folders, new_run_folder
from lit_genre.trust.arguments import parameters_of

_USER_ERRORS: Final = ("Early stopping conditioned on metric", "When using the learning rate finder")
"""How Lightning begins to report what the user's options lack, by exceptions of other types than its own."""


class GenreCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict`.

    Args:
        model_class: Base class of the model.
        datamodule_class: Base class of the data.
        args: The command and its words.
        options: Those of LightningCLI.

    Raises:
        LitGenreError: The checkpoint that is named cannot be had, or asks for something that is not trusted.
    """

    def __init__(
        self,
        model_class: type[LightningModule],
        datamodule_class: type[LightningDataModule],
        *,
        args: list[str],
        **options: Any,
    ) -> None:
        # Before the parsers are built, which takes longer.
        self.command_line = read_command_line(*args)
        self.command, self.checkpoint = self.command_line.command, self.command_line.checkpoint
        self.restored = self.command_line.restored
        parser_kwargs = options["parser_kwargs"][self.command]
        (path,) = parser_kwargs["default_config_files"]
        arguments = parameters_of(self.restored.model_class)
        fitting = fitting_defaults(path, arguments, self.command_line.configs, self.command_line.options)
        self._defaults = [fitting] if fitting else []
        if fitting:
            del parser_kwargs["default_config_files"]
        super().__init__(self.restored.model_class, datamodule_class, args=args, **options)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return the command that is run; no parser is built for the others."""
        return {self.command: super().subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link the sample rate and clip length of the data to the model, and the classes of the model to the data."""
        arguments = parameters_of(self.restored.model_class)
        for name in ("sample_rate", "clip_seconds"):
            if name in arguments:
                parser.link_arguments(f"model.{name}", f"data.init_args.{name}")
        add_options(parser)
        # A user's files to predict have no genres: then they are those of the checkpoint.
        linked = {"classes": self._classes_of, "task": self._task_of, "class_counts": _class_counts_of}
        for name, compute in linked.items():
            if name in arguments:
                parser.link_arguments("data", f"model.{name}", compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Put what a checkpoint says of itself in front of the user's arguments, which override it.

        To go on with a run, that is the run's whole recipe; to score it, the model and the run's data, unless another
        data set is named. Configurations come before options, wherever they stand.
        """
        command, configs = self.command, self.command_line.configs
        configs = [*self._defaults, json.dumps(self.command_line.restored_config()), *configs]
        options = self.command_line.options
        self.config = parser.parse_args([command, *(f"--config={config}" for config in configs), *options])
        self.config[command].pop("trust", None)
        if self.restored.model_class is not GenreClassifier:
            model_class = self.restored.model_class
            self.config[command].model_class = f"{model_class.__module__}.{model_class.__qualname__}"
        if self.checkpoint is not None:
            check_backbone(self.config[command].model, self.restored)
            check_places(self.config[command].data, self.restored)
            if command == "fit" and self.restored.written:
                check_optimization(self.config[command].model, self.restored)
        elif self.config[command].ckpt_path:
            raise LitGenreError("ckpt_path belongs on the command line: --ckpt_path PATH, or best, or last.")

    @property
    def _network_name(self) -> str:
        """Name of the backbone, or of a model that has none."""
        backbone = self.config[self.subcommand].model.get("backbone")
        class_path = getattr(backbone, "class_path", self.restored.model_class.__name__)
        return str(class_path.rpartition(".")[2])

    def _classes_of(self, data: LightningDataModule) -> Any:
        classes = getattr(data, "classes", None) or self.restored.hyperparameters.get("classes")
        if classes is None:
            raise LitGenreError(f"{type(data).__name__} does not say which classes its data has: give it `classes`.")
        return classes

    def _task_of(self, data: LightningDataModule) -> Any:
        return getattr(data, "task", self.restored.hyperparameters.get("task", "multiclass"))

    def before_instantiate_classes(self) -> None:
        """Choose the folder of the run."""
        config = self.config[self.subcommand]
        resumed = RunFolder.of_checkpoint(self.checkpoint) if self.checkpoint else None
        if path := config.trainer.default_root_dir:
            self.folder = RunFolder(Path(path).expanduser())
        else:
            self.folder = resumed or new_run_folder(self._network_name)
        if self.subcommand == "fit" and resumed and self.folder.path.resolve() != resumed.path.resolve():
            raise LitGenreError(
                f"{self.checkpoint} is of the run in {resumed.path}, which goes on there: leave out "
                f"--trainer.default_root_dir {self.folder.path}."
            )
        if (
            self.subcommand == "fit"
            and not resumed
            and not self.command_line.resumes_own_folder
            and self.folder.contains_run()
        ):
            raise LitGenreError(
                f"{self.folder.path} holds a run already. Go on with it by --ckpt_path {self.folder.last}, "
                "or name another folder by --trainer.default_root_dir."
            )
        config.trainer.default_root_dir = config.ckpt_path = None
        config.trainer.callbacks = with_default_callbacks(config.trainer.callbacks, config.without_callbacks)
        follow_task(config)
        # Lightning's table of the test metrics; TrackReport prints one that can be read.
        if "verbose" in config:
            config.verbose = False

    def instantiate_classes(self) -> None:
        """Send to the run's folder what the configuration sends nowhere in particular."""
        recipe = self.save_config_kwargs["recipe"] = self.config[self.subcommand]
        self.config = self.config.clone()
        resumes = self.subcommand == "fit" and self.restored.written
        for name, (restored, original) in self.restored.differences().items() if resumes else ():
            if recipe.model.backbone.init_args[name] == restored:
                recipe.model.backbone.init_args[name] = original
        config = self.config[self.subcommand]
        config.trainer.default_root_dir = str(self.folder.path)
        config.ckpt_path = self.checkpoint and str(self.checkpoint)
        loggers = config.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            init_args = getattr(logger, "init_args", None) or {}
            if init_args.get("save_dir") == ".":
                init_args["save_dir"] = str(self.folder.path)
            if getattr(logger, "class_path", "") == "lit_genre.loggers.wandb.wandb_logger":
                name_run(init_args, config, self._network_name)
        super().instantiate_classes()
        if self.subcommand == "fit" and self.checkpoint is not None:
            check_resumable(self.checkpoint, self.datamodule, config.trainer.max_epochs)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the callback that notes the first step."""
        trainer = super().instantiate_trainer(**kwargs)
        self.first_step = FirstStep()
        trainer.callbacks.append(self.first_step)  # type: ignore[attr-defined]
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; what a damaged checkpoint makes Lightning raise becomes one message."""
        trains = subcommand == "fit" and leaves_files(self.trainer)
        try:
            with self.folder.training_lock() if trains else nullcontext():
                super()._run_subcommand(subcommand)
        except (LitGenreError, MisconfigurationException, OSError, SIGTERMException):
            raise
        except Exception as error:
            if any(str(error).startswith(text) for text in _USER_ERRORS):
                raise LitGenreError(str(error)) from error
            if self.checkpoint is None or self.first_step.is_done or MISFIT in str(error):
                raise
            reason = " ".join(str(error).split()) or "no reason is given"
            raise LitGenreError(
                f"{self.checkpoint} cannot be restored, or what it restores fails at the first batch: "
                f"{type(error).__name__}: {reason} Name another checkpoint."
            ) from error

    def after_predict(self) -> None:
        """Report the files that could not be read as a whole; if some could not at all, the exit status says so."""
        data = self.datamodule
        if isinstance(data, PredictDataModule):
            report_incomplete(data.files, data.statuses, data.seconds)
            if data.failures:
                report_unreadable(data.files, data.failures)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: the stock version lets the checkpoint override the user's arguments."""


def _class_counts_of(data: LightningDataModule) -> Any:
    return getattr(data, "class_counts", None)


def run(args: Sequence[str]) -> None:
    """Run one of Lightning's commands."""
    failed = True
    try:
        with preemptible():
            start(GenreCLI, args)
        failed = False
    finally:
        finish_wandb(failed)
        discard_empty_folders()
