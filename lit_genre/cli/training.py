"""GenreCLI: wires data, model and trainer from YAML and options; the only module where data and model meet."""

import json
import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_genre.backbones.registry import backbones
from lit_genre.callbacks import leaves_files
from lit_genre.callbacks.checkpoint import selection
from lit_genre.callbacks.defaults import with_default_callbacks
from lit_genre.callbacks.first_step import FirstStep, FirstStepCallback
from lit_genre.callbacks.other_loggers import mlflow_refusal
from lit_genre.cli.allocator import keep_freed_memory
from lit_genre.cli.arguments import (
    asks_for_help,
    check_names,
    fitting_defaults,
    take,
    take_configs,
    take_model_class,
    texts_in,
)
from lit_genre.cli.parser import GenreParser, find_model_class, named
from lit_genre.cli.process import preemptible
from lit_genre.cli.restore import (
    Restored,
    check_backbone,
    check_optimization,
    check_places,
    check_resumable,
    data_of,
    restore,
)
from lit_genre.data.datamodules.predict import AudioFolder
from lit_genre.data.metadata.audio_files import report_incomplete, report_unreadable
from lit_genre.errors import LitGenreError
from lit_genre.loggers.wandb import finish_wandb
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import HEADLINE
from lit_genre.runs.folder import (
    AUTO,
    BEST,
    begun,
    discard_empty_folders,
    find_checkpoint,
    holds_run,
    new_run_folder,
    run_folder_of,
    training_lock,
    write_recipe,
)
from lit_genre.text import printable
from lit_genre.trust.arguments import parameters_of
from lit_genre.trust.recipe import SECTIONS

CLI = TypeVar("CLI", bound="GenreCLI")

_USER_ERRORS: Final = ("Early stopping conditioned on metric", "When using the learning rate finder")
"""How Lightning begins to report what the user's options lack, by exceptions of other types than its own."""

_MISFIT: Final = "Error(s) in loading state_dict"
"""How torch begins to say that weights do not fit a model."""


class RunConfig(FirstStepCallback, SaveConfigCallback):
    """Writes a fit's whole configuration into the run's folder and to the loggers.

    Args:
        parser: Parser of the command.
        config: The configuration with the folder and the checkpoint of this run in it.
        recipe: The same without them, to be run anew: what is written.
        options: Those of SaveConfigCallback.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, recipe: Namespace, **options: Any) -> None:
        super().__init__(parser, recipe, **options)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet: the checkpoint may not fit."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say that there is a configuration to save, without which Lightning's class cannot be made."""
        self.on_first_step(trainer, pl_module)

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write config.yaml; a resumed run writes it again."""
        if not trainer.is_global_zero:
            return
        write_recipe(Path(trainer.default_root_dir), self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams(without_home(self.config.as_dict()))


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
        self._read_words(*args)
        parser_kwargs = options["parser_kwargs"][self.command]
        (path,) = parser_kwargs["default_config_files"]
        arguments = parameters_of(self.restored.model_class)
        fitting = fitting_defaults(path, arguments, self.configs, self.options)
        self._defaults = [fitting] if fitting else []
        if fitting:
            del parser_kwargs["default_config_files"]
        super().__init__(self.restored.model_class, datamodule_class, args=args, **options)

    def _read_words(self, command: str, *words: str) -> None:
        """Find the checkpoint that the words name, and read what it stores."""
        self.command = command
        trust, options = "--trust" in words, [word for word in words if word != "--trust"]
        self.configs, options = take_configs(options)
        for config in self.configs:
            check_names(config)
        class_path, self.configs, options = take_model_class(self.configs, options)
        asked, options = take(options, "--ckpt_path")
        if asked is None and command != "fit" and not asks_for_help(options):
            raise LitGenreError("which checkpoint? Say --ckpt_path PATH, or best, or last, of the newest run.")
        if asked == AUTO and command != "fit":
            raise LitGenreError(f"--ckpt_path {AUTO} is for fit. Say best, or last, of the newest run, or a path.")
        if asked == AUTO:
            self.checkpoint = begun(take(options, "--trainer.default_root_dir")[0])
        else:
            self.checkpoint = find_checkpoint(asked) if asked else None
        self.goes_on = asked == AUTO
        asked_class = find_model_class(class_path) if class_path else None
        self.restored = Restored(model_class=asked_class or GenreClassifier)
        if self.checkpoint is not None:
            # A test has the model of the checkpoint, and a trainer of its own.
            sections = () if self.goes_on else SECTIONS if command == "fit" else ("data",)
            texts = texts_in(self.configs, options)
            self.restored = restore(self.checkpoint, trust, texts, sections, asked_class)
            options += ["--ckpt_path", str(self.checkpoint)]
        self.options = options

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Name the command that is run, whose parser alone is built."""
        return {self.command: super().subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the data follow what the model hears, and the model know the names of the data's genres."""
        arguments = parameters_of(self.restored.model_class)
        for name in ("sample_rate", "clip_seconds"):
            if name in arguments:
                parser.link_arguments(f"model.{name}", f"data.init_args.{name}")
        parser.add_argument(
            "--model_class",
            type=str | None,
            help="class of the model: a subclass of lit_genre.GenreClassifier, or any LightningModule, by its import "
            "path; model.class_path says the same. Its arguments are those of model",
        )
        parser.add_argument(
            "--select_by",
            type=str | None,
            help="what best.ckpt is chosen by: a logged metric, such as val/loss, or last for the last epoch; null for "
            "what the callbacks say, the headline score of validation",
        )
        parser.add_argument(
            "--without_callbacks",
            type=list[str],
            default=[],
            help="callbacks to turn off among those that every run has, by name: Telemetry, SaveOnSigterm, History, "
            "TrackReport, Dashboard, best, last; those that you give as trainer.callbacks are added to them",
        )
        parser.add_argument(
            "--trust",
            action="store_true",
            help="import what the checkpoint and the configuration of its run name, and use the files and folders that "
            "they name: this can run any code, so add it for files of people whom you trust only",
        )
        # Music of anyone's has no genres of its own: then they are those of the checkpoint.
        linked = {"classes": self._classes_of, "task": self._task_of, "class_counts": _class_counts_of}
        for name, compute in linked.items():
            if name in arguments:
                parser.link_arguments("data", f"model.{name}", compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Put what a checkpoint says of itself in front of the user's arguments, which override it.

        To go on with a run, that is the run's whole recipe; to score it, the model and the run's data, unless another
        data set is named. Configurations come before options, wherever they stand.
        """
        command, configs, options = self.command, self.configs, self.options
        known = self._known(command, configs, options)
        configs = [*self._defaults, json.dumps(known), *configs]
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
    def trained(self) -> dict[str, Any]:
        """Arguments of the model that the checkpoint stores."""
        return self.restored.hyperparameters

    def _known(self, command: str, configs: list[str], options: list[str]) -> dict[str, Any]:
        """Return what stands in front of the user's words."""
        recipe = self.restored.recipe
        if command == "fit" and self.restored.written:
            # The backbone as the checkpoint can bring it back, which may need less than the recipe's.
            backbone = {"backbone": self.trained["backbone"]}
            if self.goes_on:
                # The words are the recipe; what they append to a list, callbacks+, is not to come twice.
                return {"model": backbone}
            return recipe | {"model": recipe["model"] | backbone}
        known = {"model": self.trained} if self.trained else {}
        if recipe:
            return known | data_of(recipe, take(options, "--data")[0], configs)
        several = self.trained.get("task", "single") != "single"
        return known | ({"data": {"init_args": {"task": self.trained["task"]}}} if several else {})

    @property
    def _network_name(self) -> str:
        """Name of the backbone, or of a model that has none."""
        backbone = self.config[self.subcommand].model.get("backbone")
        class_path = getattr(backbone, "class_path", self.restored.model_class.__name__)
        return str(class_path.rpartition(".")[2])

    def _classes_of(self, data: LightningDataModule) -> Any:
        classes = getattr(data, "classes", None) or self.trained.get("classes")
        if classes is None:
            raise LitGenreError(f"{type(data).__name__} does not say which classes its data has: give it `classes`.")
        return classes

    def _task_of(self, data: LightningDataModule) -> Any:
        return getattr(data, "task", self.trained.get("task", "single"))

    def before_instantiate_classes(self) -> None:
        """Name the run's folder."""
        config = self.config[self.subcommand]
        resumed = self.checkpoint and run_folder_of(self.checkpoint)
        folder = config.trainer.default_root_dir or resumed or new_run_folder(self._network_name)
        self.folder = Path(folder).expanduser()
        if self.subcommand == "fit" and resumed and self.folder.resolve() != resumed.resolve():
            raise LitGenreError(
                f"{self.checkpoint} is of the run in {resumed}, which goes on there: leave out "
                f"--trainer.default_root_dir {self.folder}."
            )
        if self.subcommand == "fit" and not resumed and not self.goes_on and holds_run(self.folder):
            raise LitGenreError(
                f"{self.folder} holds a run already. Go on with it by --ckpt_path {self.folder}/checkpoints/last.ckpt, "
                "or name another folder by --trainer.default_root_dir."
            )
        config.trainer.default_root_dir = config.ckpt_path = None
        config.trainer.callbacks = with_default_callbacks(config.trainer.callbacks, config.without_callbacks)
        _watch(config)
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
        config.trainer.default_root_dir = str(self.folder)
        config.ckpt_path = self.checkpoint and str(self.checkpoint)
        loggers = config.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            init_args = getattr(logger, "init_args", None) or {}
            if init_args.get("save_dir") == ".":
                init_args["save_dir"] = str(self.folder)
            if getattr(logger, "class_path", "") == "lit_genre.loggers.wandb.wandb_logger":
                _name_run(init_args, config, self._network_name)
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
            with training_lock(self.folder) if trains else nullcontext():
                super()._run_subcommand(subcommand)
        except (LitGenreError, MisconfigurationException, OSError, SIGTERMException):
            raise
        except Exception as error:
            if any(str(error).startswith(text) for text in _USER_ERRORS):
                raise LitGenreError(str(error)) from error
            if self.checkpoint is None or self.first_step.is_done or _MISFIT in str(error):
                raise
            reason = " ".join(str(error).split()) or "no reason is given"
            raise LitGenreError(
                f"{self.checkpoint} cannot be restored, or what it restores fails at the first batch: "
                f"{type(error).__name__}: {reason} Name another checkpoint."
            ) from error

    def after_predict(self) -> None:
        """Report the files that could not be read as a whole; if some could not at all, the exit status says so."""
        data = self.datamodule
        if isinstance(data, AudioFolder):
            report_incomplete(data.files, data.statuses, data.seconds)
            if data.failures:
                report_unreadable(data.files, data.failures)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: the stock version lets the checkpoint override the user's arguments."""


def _watch(config: Namespace) -> None:
    """Let the best checkpoint be chosen as asked, and what the defaults watch follow the task.

    Several genres a track have no accuracy.
    """
    task = (config.data.get("init_args") or {}).get("task") or getattr(named(config.data.class_path), "task", None)
    callbacks = config.trainer.get("callbacks") or []
    for part in (config.model.get("scheduler"), *(callbacks if isinstance(callbacks, list) else [callbacks])):
        init_args = getattr(part, "init_args", None) or {}
        if config.select_by and init_args.get("filename") == BEST:
            init_args["monitor"], init_args["mode"] = selection(config.select_by)
        if task in HEADLINE and init_args.get("monitor") in {f"val/{name}" for name in HEADLINE.values()}:
            init_args["monitor"] = f"val/{HEADLINE[task]}"


def _class_counts_of(data: LightningDataModule) -> Any:
    return getattr(data, "class_counts", None)


def _name_run(init_args: Any, config: Namespace, network: str) -> None:
    """Name, group and tag a run of W&B by backbone and data, where the configuration does not."""
    places = [config.data.init_args.get(name) for name in ("root", "path", "csv", "subset")]
    data = [str(place) for place in places if place is not None]
    tags = [network, *(Path(part).name for part in data)]
    for name, value in {"name": " ".join(tags), "group": network, "tags": tags}.items():
        if init_args.get(name) is None:
            init_args[name] = value


def without_home(value: Any) -> Any:
    """Write ~ for the home folder wherever it stands in a configuration: nobody's name is to be in a log."""
    if isinstance(value, dict):
        return {key: without_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_home(item) for item in value]
    return str(value).replace(str(Path.home()), "~") if isinstance(value, str | os.PathLike) else value


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


def start(cli: type[CLI], args: Sequence[str]) -> CLI:
    """Read a command line, and do what it says."""
    _quieten()
    if not torch.accelerator.is_available():
        keep_freed_memory()
    backbones()
    defaults = {"default_config_files": [str(files("lit_genre.cli") / "defaults.yaml")], "allow_abbrev": False}
    try:
        return cli(
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
                args[0]: defaults,
            },
            args=list(args),
        )
    except MisconfigurationException as error:
        raise LitGenreError(str(error)) from error
    except (ImportError, ValueError) as error:
        if refusal := mlflow_refusal(error):
            raise LitGenreError(refusal) from error
        if (missing := _missing_package(error)) is None:
            raise
        reason = " ".join(str(missing).split())
        raise LitGenreError(f"{reason} Install the package that is missing, or leave out what needs it.") from error
    except RuntimeError as error:
        if _MISFIT not in str(error):
            raise
        raise LitGenreError(f"The checkpoint does not fit the model that the options ask for. {error}") from error


def _missing_package(error: BaseException | None) -> ImportError | None:
    """Find an ImportError in a chain of errors: jsonargparse wraps those of constructors in its own."""
    while error is not None and not isinstance(error, ImportError):
        error = error.__cause__ or error.__context__
    return error


def _quieten() -> None:
    """Drop what Lightning says at every start and nobody can act on."""
    # Lightning 2.6 calls what torch 2.14 deprecates: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    # A resumed run goes on in its own folder.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Scores over tracks are the same in every process, and the first one's speed stands for all.
    warnings.filterwarnings("ignore", message=r"It is recommended to use `self.log\(.*sync_dist=True")
    # The data begins where the run was stopped, which Lightning cannot know.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch")
    # To go on, a run brings its own; a test needs none of those of the training.
    warnings.filterwarnings("ignore", message=r"Be aware that when using `ckpt_path`, callbacks used to create")
    # A frozen encoder stays in eval.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_shorten_log)


def _shorten_log(record: logging.LogRecord) -> bool:
    """Drop hints of Lightning, and print what may be in a path without control characters."""
    record.msg, record.args = printable(record.getMessage()), ()
    return not record.msg.startswith(("💡", "TPU available"))
