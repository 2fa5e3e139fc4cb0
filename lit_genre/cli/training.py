"""Build data, model and trainer from YAML and options (LightningCLI), and run fit, validate, test and predict."""

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
from lit_genre.cli.calibrate import calibrate
from lit_genre.cli.parsing.arguments import (
    fitting_defaults,
)
from lit_genre.cli.parsing.command_line import read_command_line
from lit_genre.cli.parsing.options import add_options
from lit_genre.cli.process import preemptible
from lit_genre.cli.restore import (
    check_backbone,
    check_optimization,
    check_places,
    check_resumable,
)
from lit_genre.cli.run_config import follow_task, name_run
from lit_genre.cli.start import MISFIT, start
from lit_genre.cli.trainer import progress_on_stderr
from lit_genre.data.datamodules.predict import PredictDataModule
from lit_genre.data.metadata.audio_files import report_incomplete, report_unreadable
from lit_genre.errors import LitGenreError
from lit_genre.loggers.wandb import finish_wandb
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import discard_empty_folders, new_run_folder
from lit_genre.trust.arguments import named_parameters

_USER_ERRORS: Final = ("Early stopping conditioned on metric", "When using the learning rate finder")
"""First words of errors of the user's options that Lightning raises as general exceptions."""


class GenreCLI(LightningCLI):
    """The commands `fit`, `validate`, `test` and `predict`.

    Args:
        model_class: Base class of the model.
        datamodule_class: Base class of the data.
        args: The command and its arguments.
        options: Arguments of LightningCLI.

    Raises:
        LitGenreError: The checkpoint cannot be read, or names something that is not trusted.
    """

    def __init__(
        self,
        model_class: type[LightningModule],
        datamodule_class: type[LightningDataModule],
        *,
        args: list[str],
        **options: Any,
    ) -> None:
        # First, as an error here is reported sooner than by the parsers, which take seconds to build.
        self.command_line = read_command_line(*args)
        self.command, self.checkpoint = self.command_line.command, self.command_line.checkpoint
        self.restored = self.command_line.restored
        parser_kwargs = options["parser_kwargs"][self.command]
        # LightningCLI adds them to each --config; here they come before the checkpoint's settings.
        (path,) = parser_kwargs["default_config_files"]
        arguments = named_parameters(self.restored.model_class)
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
        arguments = named_parameters(self.restored.model_class)
        for name in ("sample_rate", "clip_seconds"):
            if name in arguments:
                parser.link_arguments(f"model.{name}", f"data.init_args.{name}")
        add_options(parser, self.command)
        # Files to predict have no genres: then the classes are those of the checkpoint.
        linked = {"classes": self._classes_of, "task": self._task_of, "class_counts": _class_counts_of}
        for name, compute in linked.items():
            if name in arguments:
                parser.link_arguments("data", f"model.{name}", compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the settings of the checkpoint, then the configurations, then the options; later ones override."""
        command, configs = self.command, self.command_line.configs
        configs = [*self._defaults, json.dumps(self.command_line.restored_config()), *configs]
        options = self.command_line.options
        self.config = parser.parse_args([command, *(f"--config={config}" for config in configs), *options])
        self.config[command].pop("trust", None)
        self._calibrates = bool(self.config[command].pop("calibrate", False))
        if self.restored.model_class is not GenreClassifier:
            model_class = self.restored.model_class
            self.config[command].model_class = f"{model_class.__module__}.{model_class.__qualname__}"
        if self.checkpoint is not None:
            check_backbone(self.config[command].model, self.restored)
            check_places(self.config[command].data, self.restored)
            if command == "fit" and self.restored.written:
                check_optimization(self.config[command].model, self.restored)
        elif self.config[command].ckpt_path:
            raise LitGenreError(
                "ckpt_path must be an option, not a key of a configuration: --ckpt_path PATH, or best, or last."
            )

    @property
    def _network_name(self) -> str:
        """Name of the backbone, or of a model without a backbone."""
        backbone = self.config[self.subcommand].model.get("backbone")
        class_path = getattr(backbone, "class_path", self.restored.model_class.__name__)
        return str(class_path.rpartition(".")[2])

    def _classes_of(self, data: LightningDataModule) -> Any:
        classes = getattr(data, "classes", None) or self.restored.hyperparameters.get("classes")
        if classes is None:
            raise LitGenreError(f"{type(data).__name__} has no attribute `classes`, the names of the genres. Add it.")
        return classes

    def _task_of(self, data: LightningDataModule) -> Any:
        return getattr(data, "task", self.restored.hyperparameters.get("task", "multiclass"))

    def before_instantiate_classes(self) -> None:
        """Choose the folder of the run, and refuse one with another run."""
        config = self.config[self.subcommand]
        resumed = RunFolder.of_checkpoint(self.checkpoint) if self.checkpoint else None
        if path := config.trainer.default_root_dir:
            self.folder = RunFolder(Path(path).expanduser())
        else:
            self.folder = resumed or new_run_folder(self._network_name)
        if self.subcommand == "fit" and resumed and self.folder.path.resolve() != resumed.path.resolve():
            raise LitGenreError(
                f"{self.checkpoint} belongs to the run in {resumed.path}, which is resumed there. Leave out "
                f"--trainer.default_root_dir {self.folder.path}."
            )
        if (
            self.subcommand == "fit"
            and not resumed
            and not self.command_line.resumes_own_folder
            and self.folder.contains_run()
        ):
            raise LitGenreError(
                f"{self.folder.path} already contains a run. Resume it by --ckpt_path {self.folder.last}, or choose "
                "another folder by --trainer.default_root_dir."
            )
        # Not part of the recipe, which may be used for another run.
        config.trainer.default_root_dir = config.ckpt_path = None
        config.trainer.callbacks = with_default_callbacks(config.trainer.callbacks, config.without_callbacks)
        follow_task(config)
        # Without Lightning's table of the test metrics: TrackReport prints a shorter one.
        if "verbose" in config:
            config.verbose = False

    def instantiate_classes(self) -> None:
        """Build the parts, with the folder of the run where the configuration names none."""
        recipe = self.save_config_kwargs["recipe"] = self.config[self.subcommand]
        # The recipe is written to config.yaml; the clone has the folder and the checkpoint of this run.
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
        """Add the callback that notes the first step, and show the progress on stderr."""
        trainer = super().instantiate_trainer(**kwargs)
        progress_on_stderr(trainer)
        self.first_step = FirstStep()
        trainer.callbacks.append(self.first_step)  # type: ignore[attr-defined]
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command; an error that a damaged checkpoint causes becomes one message."""
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
                f"{self.checkpoint} cannot be restored, or the restored run fails at its first batch: "
                f"{type(error).__name__}: {reason} Use another checkpoint."
            ) from error

    def before_test(self) -> None:
        """Fit the temperature of the checkpoint on the validation split, if --calibrate asks for it."""
        if self._calibrates:
            assert self.checkpoint is not None
            calibrate(self.trainer, self.model, self.datamodule, self.checkpoint)

    def after_predict(self) -> None:
        """Report the files that were read in part or not at all; the latter set the exit status."""
        data = self.datamodule
        if isinstance(data, PredictDataModule):
            report_incomplete(data.files, data.statuses, data.seconds)
            if data.failures:
                report_unreadable(data.files, data.failures)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: LightningCLI's version lets the checkpoint override the user's options."""


def _class_counts_of(data: LightningDataModule) -> Any:
    return getattr(data, "class_counts", None)


def run_training(args: Sequence[str]) -> None:
    """Run one of Lightning's commands."""
    failed = True
    try:
        with preemptible():
            start(GenreCLI, args)
        failed = False
    finally:
        finish_wandb(failed)
        discard_empty_folders()
