"""Send the pictures, tables and numbers of a run to TensorBoard, MLflow and other loggers; W&B has dashboard.py.

Lightning sends the metrics of each epoch and of a test to every logger. This module sends the files of a run to loggers
that show them: TensorBoard takes pictures and text, MLflow takes files.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lit_genre.callbacks import leaves_files
from lit_genre.console import console
from lit_genre.runs.folder import BEST

_LONGEST: Final = 250
"""Longest name of a metric that MLflow accepts, characters."""

_INVALID: Final = re.compile("[^a-zA-Z0-9_. -]")
"""Characters that Lightning removes from the name of a metric for MLflow, and the slash."""


class Results(NamedTuple):
    """Results of a training or a test.

    Attributes:
        metrics: Numbers by name, in addition to those that Lightning logs.
        files: Paths by name; those that do not exist are left out.
        texts: Texts in Markdown by name, for loggers that take no files.
    """

    metrics: Mapping[str, float]
    files: Mapping[str, Path]
    texts: Mapping[str, str] = {}


def send_results(trainer: Trainer, results: Results) -> None:
    """Send results to every logger of a run but W&B; other loggers than TensorBoard and MLflow get the metrics only."""
    files = {name: path for name, path in results.files.items() if path.is_file()}
    for logger in other_loggers(trainer):
        if results.metrics:
            logger.log_metrics(dict(results.metrics), step=trainer.global_step)
        if isinstance(logger, TensorBoardLogger):
            _send_to_tensorboard(logger, files, results.texts, trainer.global_step)
        elif isinstance(logger, MLFlowLogger):
            _send_to_mlflow(logger, files, Path(trainer.default_root_dir))


def other_loggers(trainer: Trainer) -> list[Logger]:
    """List the loggers of a run that are not W&B's; none in a process that writes no files."""
    return [logger for logger in trainer.loggers if not isinstance(logger, WandbLogger) and leaves_files(trainer)]


def _send_to_tensorboard(
    logger: TensorBoardLogger, files: Mapping[str, Path], texts: Mapping[str, str], step: int
) -> None:
    from matplotlib.image import imread

    for name, path in files.items():
        if path.suffix == ".png":
            # Without the opacity, which TensorBoard does not take.
            logger.experiment.add_image(name, imread(path)[..., :3], step, dataformats="HWC")
    for name, text in texts.items():
        logger.experiment.add_text(name, text, step)


def _send_to_mlflow(logger: MLFlowLogger, files: Mapping[str, Path], run_folder: Path) -> None:
    from mlflow.exceptions import MlflowException

    client, run_id = logger.experiment, logger.run_id
    try:
        for path in files.values():
            folder = path.parent.relative_to(run_folder).as_posix()
            if path.suffix == ".yaml":
                # A configuration holds paths; the name of the account in them is not for a server.
                text = path.read_text(encoding="utf-8").replace(str(Path.home()), "~")
                client.log_text(run_id, text, path.relative_to(run_folder).as_posix())
            else:
                client.log_artifact(run_id, str(path), None if folder == "." else folder)
    except (MlflowException, OSError) as error:
        # The run is finished and its files exist, so that a failed upload is a warning.
        console.print(f"Warning: MLflow did not take the files of {run_folder}: {error}")


def prepare_loggers(trainer: Trainer) -> None:
    """Let MLflow accept the names of all genres, and the configuration of a resumed run."""
    for logger in trainer.loggers:
        if isinstance(logger, MLFlowLogger):
            _accept_all_names(logger)
            _accept_changed_config(logger)


def _accept_all_names(logger: MLFlowLogger) -> None:
    log_metrics = logger.log_metrics

    def log_named(metrics: Mapping[str, float], step: int | None = None) -> None:
        log_metrics({metric_name(name): value for name, value in metrics.items()}, step)

    # On the object: the user names Lightning's class in the configuration.
    logger.log_metrics = log_named  # type: ignore[method-assign]


def _accept_changed_config(logger: MLFlowLogger) -> None:
    log_hyperparams = logger.log_hyperparams

    def log_config(params: Any) -> None:
        from mlflow.exceptions import MlflowException

        try:
            log_hyperparams(params)
        except MlflowException as error:
            # A resumed run that continues an MLflow run by its run_id may have other values, which MLflow refuses.
            console.print(f"Warning: MLflow did not take the configuration of this run: {error}")

    logger.log_hyperparams = log_config  # type: ignore[method-assign]


def metric_name(name: str) -> str:
    """Return a name that MLflow accepts for a metric, with other characters as their number in Unicode.

    MLflow accepts letters from a to z, digits and few signs. Lightning removes the others, which leaves nothing of a
    genre in another script; MLflow then refuses the name.

    Args:
        name: Such as "val/f1/Rock": a split, a score and a genre, which may hold any characters.

    >>> metric_name("val/f1/R&B"), metric_name("val/f1/日本")
    ('val/f1/R_0026_B', 'val/f1/_65E5__672C_')
    """
    *parts, last = name.split("/", 2)
    last = _INVALID.sub(lambda match: f"_{ord(match[0]):04X}_", last)
    # MLflow uses names as paths, in which "." and ".." are folders.
    return "/".join([*parts, last if last.strip(".") else f"_{last}"])[:_LONGEST]


def log_best_checkpoint(trainer: Trainer) -> None:
    """Let MLflow's logger upload best.ckpt where its log_model asks for a checkpoint at the end of training.

    Lightning's logger uploads the checkpoint of the callback that saved last, which is last.ckpt.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    best = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint) and callback.filename == BEST]
    for logger in other_loggers(trainer):
        for callback in best if isinstance(logger, MLFlowLogger) else ():
            if callback.best_model_path:
                logger.after_save_checkpoint(callback)


def mlflow_refusal(error: BaseException | None) -> str | None:
    """Return why MLflow refuses the settings of its logger; None where a chain of errors has no error of MLflow.

    Args:
        error: What the construction of the logger raised; jsonargparse wraps that in errors of its own.
    """
    while error is not None and type(error).__module__.partition(".")[0] != "mlflow":
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    return (
        f"MLflow refuses the settings of trainer.logger. {error} The option --trainer.logger.tracking_uri names the "
        "database, such as sqlite:///mlflow.db, or the address of a server."
    )
