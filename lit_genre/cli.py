"""GenreCLI: wires data, model and trainer from YAML and options; the only module where data and model meet."""

import argparse
import json
import logging
import os
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from lit_genre.allocator import keep_freed_memory
from lit_genre.callbacks.checkpoint import selection
from lit_genre.data.datamodule import TrackDataModule, trained_tracks
from lit_genre.data.folder import AudioFolder
from lit_genre.data.music_files import report_unreadable
from lit_genre.errors import LitGenreError
from lit_genre.logger import finish_wandb
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import HEADLINE
from lit_genre.parser import GenreParser, named
from lit_genre.plugins import backbones
from lit_genre.preemption import preemptible
from lit_genre.run_folder import (
    AUTO,
    BEST,
    begun,
    find_checkpoint,
    holds_run,
    new_run_folder,
    read_hyperparameters,
    read_recipe,
    run_folder_of,
)

CLI = TypeVar("CLI", bound="GenreCLI")

_PLACES: Final = frozenset(("root", "path", "csv"))


class RunConfig(SaveConfigCallback):
    """Writes a fit's whole configuration into the run's folder and to the loggers.

    Args:
        parser: Parser of the command.
        config: The configuration with the folder and the checkpoint of this run in it.
        recipe: The same without them, to be run anew: what is written.
        options: Those of SaveConfigCallback.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, recipe: Namespace, **options: Any) -> None:
        super().__init__(parser, recipe, **options)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write config.yaml; a resumed run writes it again."""
        if stage != "fit":
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, folder / "config.yaml", skip_none=False, overwrite=True, multifile=False)
        for logger in trainer.loggers:
            logger.log_hyperparams(without_home(self.config.as_dict()))


class GenreCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict`."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the data follow what the model hears, and the model know the names of the data's genres."""
        parser.link_arguments("model.sample_rate", "data.init_args.sample_rate")
        parser.link_arguments("model.clip_seconds", "data.init_args.clip_seconds")
        parser.add_argument(
            "--select_by",
            type=str | None,
            help="what best.ckpt is chosen by: a logged metric, such as val/loss, or last for the last epoch; null for "
            "what the callbacks say, the headline score of validation",
        )
        # Music of anyone's has no genres of its own: then they are those of the checkpoint.
        parser.link_arguments("data", "model.classes", self._classes_of, apply_on="instantiate")
        parser.link_arguments("data", "model.task", self._task_of, apply_on="instantiate")
        parser.link_arguments("data", "model.class_counts", _class_counts_of, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Put what a checkpoint says of itself in front of the user's arguments, which override it.

        To go on with a run, that is the run's whole recipe; to score it, the model and the run's data, unless another
        data set is named. Configurations come before options, wherever they stand.
        """
        assert isinstance(args, list)
        command, *options = args
        configs, options = _take_configs(options)
        asked, options = _take(options, "--ckpt_path")
        if asked is None and command != "fit" and not _asks_for_help(options):
            raise LitGenreError("which checkpoint? Say --ckpt_path PATH, or best, or last, of the newest run.")
        if asked == AUTO and command != "fit":
            raise LitGenreError(f"--ckpt_path {AUTO} is for fit. Say best, or last, of the newest run, or a path.")
        if asked == AUTO:
            self.checkpoint = begun(_take(options, "--trainer.default_root_dir")[0])
        else:
            self.checkpoint = find_checkpoint(asked) if asked else None
        self.goes_on = asked == AUTO
        self.restored: dict[str, tuple[Any, Any]] = {}
        self.trained: dict[str, Any] = {}
        recipe: dict[str, Any] = {}
        if self.checkpoint is not None:
            self.trained, recipe = read_hyperparameters(self.checkpoint), read_recipe(self.checkpoint)
            options += ["--ckpt_path", str(self.checkpoint)]
        known = self._known(command, recipe, configs, options)
        configs = [json.dumps(known), *configs]
        self.config = parser.parse_args([command, *(f"--config={config}" for config in configs), *options])
        if self.checkpoint is not None:
            _check_backbone(self.config[command].model.backbone, self.trained["backbone"], self.checkpoint)
        elif self.config[command].ckpt_path:
            raise LitGenreError("ckpt_path belongs on the command line: --ckpt_path PATH, or best, or last.")

    def _known(self, command: str, recipe: dict[str, Any], configs: list[str], options: list[str]) -> dict[str, Any]:
        """Tell what stands in front of the user's words."""
        if command == "fit" and recipe:
            # The backbone as the checkpoint can bring it back, which may need less than the recipe's.
            backbone = {"backbone": self.trained["backbone"]}
            self.restored = _differences(self.trained["backbone"], recipe["model"]["backbone"])
            if self.goes_on:
                # The words are the recipe; what they append to a list, callbacks+, is not to come twice.
                return {"model": backbone}
            return recipe | {"model": recipe["model"] | backbone}
        known = {"model": self.trained} if self.trained else {}
        if recipe:
            return known | _data_of(recipe, configs, options)
        several = self.trained.get("task", "single") != "single"
        return known | ({"data": {"init_args": {"task": self.trained["task"]}}} if several else {})

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
        backbone = config.model.backbone.class_path.rpartition(".")[2]
        self.folder = Path(config.trainer.default_root_dir or resumed or new_run_folder(backbone)).expanduser()
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
        _watch(config)
        # Lightning's table of the test metrics; TrackReport prints one that can be read.
        if "verbose" in config:
            config.verbose = False

    def instantiate_classes(self) -> None:
        """Send to the run's folder what the configuration sends nowhere in particular."""
        recipe = self.save_config_kwargs["recipe"] = self.config[self.subcommand]
        self.config = self.config.clone()
        for name, (restored, original) in self.restored.items():
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
            if getattr(logger, "class_path", "") == "lit_genre.logger.wandb_logger":
                _name_run(init_args, config)
        super().instantiate_classes()
        if self.subcommand == "fit" and self.checkpoint is not None:
            _check_goes_on(self.checkpoint, self.datamodule)

    def after_predict(self) -> None:
        """Report the files that could not be read, and let the exit status say so."""
        if isinstance(self.datamodule, AudioFolder) and self.datamodule.failures:
            report_unreadable(self.datamodule.files, self.datamodule.failures)

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


def _name_run(init_args: Any, config: Namespace) -> None:
    """Name, group and tag a run of W&B by backbone and data, where the configuration does not."""
    backbone = config.model.backbone.class_path.rpartition(".")[2]
    places = [config.data.init_args.get(name) for name in ("root", "path", "csv", "subset")]
    data = [str(place) for place in places if place is not None]
    tags = [backbone, *(Path(part).name for part in data)]
    for name, value in {"name": " ".join(tags), "group": backbone, "tags": tags}.items():
        if init_args.get(name) is None:
            init_args[name] = value


def without_home(value: Any) -> Any:
    """Write ~ for the home folder wherever it stands in a configuration: nobody's name is to be in a log."""
    if isinstance(value, dict):
        return {key: without_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_home(item) for item in value]
    return str(value).replace(str(Path.home()), "~") if isinstance(value, str | os.PathLike) else value


def _take(options: list[str], name: str) -> tuple[str | None, list[str]]:
    """Take an option out of the options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value")
    found, rest = parser.parse_known_args(options)
    return found.value, rest


def _take_configs(options: list[str]) -> tuple[list[str], list[str]]:
    """Take the configurations out of the options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    try:
        found, rest = parser.parse_known_args(options)
    except argparse.ArgumentError:  # The last of them has no name; jsonargparse says so.
        return [], options
    return found.config, rest


def _data_of(recipe: dict[str, Any], configs: list[str], options: list[str]) -> dict[str, Any]:
    """Tell what a run's recipe says of the data: nothing where the user names another class.

    Where the user names the class that it has, the data may lie elsewhere: its places are left out.
    """
    data = recipe["data"]
    asked = _take(options, "--data")[0]
    names = [asked] if asked else [name for config in configs if (name := _data_class_in(config))]
    if names and names[-1].rpartition(".")[2] != data["class_path"].rpartition(".")[2]:
        return {}
    if asked:
        arguments = {name: value for name, value in data.get("init_args", {}).items() if name not in _PLACES}
        data = data | {"init_args": arguments}
    return {"data": data}


def _data_class_in(config: str) -> str | None:
    try:
        content = yaml.safe_load(Path(config).expanduser().read_text(encoding="utf-8"))
        data = content["data"]
        return data if isinstance(data, str) else str(data["class_path"])
    except (KeyError, OSError, TypeError, ValueError, yaml.YAMLError):  # The parser will say so.
        return None


def _asks_for_help(options: list[str]) -> bool:
    return any(option.startswith(("-h", "--help", "--print_config")) or ".help" in option for option in options)


def _differences(restored: dict[str, Any], original: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name the arguments of a backbone that a checkpoint has otherwise than the recipe: (restored, original)."""
    arguments = original.get("init_args", {})
    return {
        name: (value, arguments[name])
        for name, value in restored.get("init_args", {}).items()
        if name in arguments and value != arguments[name]
    }


def _check_backbone(asked: Namespace, trained: dict[str, Any], checkpoint: Path) -> None:
    names = [path.rpartition(".")[2] for path in (asked.class_path, trained["class_path"])]
    if names[0] != names[1]:
        raise LitGenreError(
            f"{checkpoint} holds a {names[1]}, but the configuration asks for a {names[0]}: "
            "name another checkpoint, or leave out the configuration of the model."
        )


def _check_goes_on(checkpoint: Path, data: LightningDataModule) -> None:
    """Refuse to go on with what is no training, or with other music, before anything in the run's folder is touched."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    if not content.get("optimizer_states"):
        raise LitGenreError(
            f"{checkpoint} holds weights alone, as a probe leaves them: there is no training to go on with."
        )
    before = trained_tracks(content)
    if before is not None and isinstance(data, TrackDataModule):
        now = data.ids_of("train")
        if 2 * len(before & now) < len(before):
            raise LitGenreError(
                f"{checkpoint} was trained on {len(before):,} tracks, of which {len(before & now):,} are among the "
                f"{len(now):,} training tracks in {data.audio_folder}: a run goes on with its own data. To train "
                "on other music, begin another by leaving out --ckpt_path; a head for it on what this network has "
                "learnt is trained by lit-genre probe."
            )


def run(args: Sequence[str]) -> None:
    """Run one of Lightning's commands."""
    failed = True
    try:
        with preemptible():
            start(GenreCLI, args)
        failed = False
    finally:
        finish_wandb(failed)


def start(cli: type[CLI], args: Sequence[str]) -> CLI:
    """Read a command line, and do what it says."""
    _quieten()
    if not torch.accelerator.is_available():
        keep_freed_memory()
    backbones()
    defaults = {"default_config_files": [str(files("lit_genre") / "defaults.yaml")], "allow_abbrev": False}
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
                **dict.fromkeys(("fit", "validate", "test", "predict"), defaults),
            },
            args=list(args),
        )
    except MisconfigurationException as error:
        raise LitGenreError(str(error)) from error
    except RuntimeError as error:
        if "Error(s) in loading state_dict" not in str(error):
            raise
        raise LitGenreError(f"The checkpoint does not fit the model that the options ask for. {error}") from error


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
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not record.getMessage().startswith(("💡", "TPU available"))
    )
