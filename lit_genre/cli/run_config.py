"""Write the configuration of a run into its folder and to its loggers, and complete it."""

import os
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from lit_genre.callbacks import run_folder
from lit_genre.callbacks.checkpoint import selection
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.class_path import import_class
from lit_genre.model.metrics import PRIMARY_METRIC
from lit_genre.runs.folder import BEST


class RunConfig(FirstStepCallback, SaveConfigCallback):
    """Writes the whole configuration of a fit into the folder of the run and to the loggers.

    Args:
        parser: Parser of the command.
        config: The configuration with the folder and the checkpoint of this run.
        recipe: The configuration without them, which is written: it can be used for another run.
        options: Arguments of SaveConfigCallback.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, recipe: Namespace, **options: Any) -> None:
        super().__init__(parser, recipe, **options)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Do nothing: the checkpoint may not fit, so that the first step comes first."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration; SaveConfigCallback calls this method."""
        self.on_first_step(trainer, pl_module)

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration; a resumed run writes it again."""
        if not trainer.is_global_zero:
            return
        run_folder(trainer).write_config(self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            logger.log_hyperparams(without_home(self.config.as_dict()))


def follow_task(config: Namespace) -> None:
    """Set the metrics that the best checkpoint and the scheduler monitor, by `select_by` and the task.

    The defaults monitor the accuracy, which the multilabel task does not have.
    """
    task = (config.data.get("init_args") or {}).get("task") or getattr(
        import_class(config.data.class_path), "task", None
    )
    callbacks = config.trainer.get("callbacks") or []
    for part in (config.model.get("scheduler"), *(callbacks if isinstance(callbacks, list) else [callbacks])):
        init_args = getattr(part, "init_args", None) or {}
        if config.select_by and init_args.get("filename") == BEST:
            init_args["monitor"], init_args["mode"] = selection(config.select_by)
        if task in PRIMARY_METRIC and init_args.get("monitor") in {f"val/{name}" for name in PRIMARY_METRIC.values()}:
            init_args["monitor"] = f"val/{PRIMARY_METRIC[task]}"


def name_run(init_args: Any, config: Namespace, network: str) -> None:
    """Set name, group and tags of a W&B run from backbone and data, unless the configuration has them."""
    places = [config.data.init_args.get(name) for name in ("root", "path", "csv", "subset")]
    data = [str(place) for place in places if place is not None]
    tags = [network, *(Path(part).name for part in data)]
    for name, value in {"name": " ".join(tags), "group": network, "tags": tags}.items():
        if init_args.get(name) is None:
            init_args[name] = value


def without_home(value: Any) -> Any:
    """Replace the home folder in a configuration by ~, so that a log has no user name."""
    if isinstance(value, dict):
        return {key: without_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_home(item) for item in value]
    return str(value).replace(str(Path.home()), "~") if isinstance(value, str | os.PathLike) else value
