"""Build the Trainer of the command line for use from Python."""

import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import Logger

from lit_genre.batch import Task
from lit_genre.callbacks.checkpoint import selection
from lit_genre.class_path import import_class
from lit_genre.cli.quiet import silence_expected_warnings
from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import PRIMARY_METRIC
from lit_genre.runs.folder import BEST, RunFolder
from lit_genre.runs.locate import new_run_folder


def trainer(
    folder: str | Path | None = None,
    select_by: str | None = None,
    task: Task = "multiclass",
    callbacks: Sequence[Callback] = (),
    logger: Logger | Sequence[Logger] | bool = True,
    resume: bool = False,
    **options: Any,
) -> Trainer:
    """Build a Trainer that writes the files of `lit-genre fit` and `lit-genre test`, except config.yaml.

    Args:
        folder: Folder of the run; None for a new one in runs/.
        select_by: Metric that selects the epoch of best.ckpt, such as `val/loss`, or `last` for the last epoch; None
            for the primary metric of the validation.
        task: Task of the data, which determines the primary metric.
        callbacks: Further callbacks, after the default ones.
        logger: Lightning's loggers; True for Weights & Biases, offline without an account; False for none.
        resume: Whether the folder has a run to resume, by `fit(model, data, ckpt_path=...)`.
        **options: Arguments of `lightning.pytorch.Trainer`, such as max_epochs; by default as in
            `lit_genre/cli/defaults.yaml`.

    Returns:
        The Trainer. `fit(model, data)` trains, `test(model, data, ckpt_path="best")` tests the best checkpoint.

    Raises:
        LitGenreError: The folder has a run, and resume is false.
    """
    silence_expected_warnings()
    run = RunFolder(Path(folder).expanduser()) if folder else new_run_folder("run")
    if run.contains_run() and not resume:
        raise LitGenreError(f"{run.path} already contains a run. Choose another folder, or set resume=True.")
    defaults = yaml.safe_load((files("lit_genre.cli") / "defaults.yaml").read_text(encoding="utf-8"))["trainer"]
    monitor, mode = selection(select_by or f"val/{PRIMARY_METRIC[task]}")
    for callback in defaults["callbacks"]:
        if callback.get("init_args", {}).get("filename") == BEST:
            callback["init_args"] |= {"monitor": monitor, "mode": mode}
    described = defaults.pop("logger")
    loggers = [_built(described, save_dir=str(run.path))] if logger is True else logger
    built = {name: [_built(part) for part in defaults.pop(name)] for name in ("callbacks", "plugins")}
    # Lightning tests the first of several checkpoints, which is best.ckpt, as intended.
    warnings.filterwarnings("ignore", message=r".*is called with Trainer configured with multiple `ModelCheckpoint`")
    plugins = [*built["plugins"], *options.pop("plugins", [])]
    built_trainer = Trainer(
        **defaults | options,
        default_root_dir=run.path,
        logger=loggers,
        callbacks=[*built["callbacks"], *callbacks],
        plugins=plugins,
    )
    progress_on_stderr(built_trainer)
    return built_trainer


def progress_on_stderr(trainer: Trainer) -> None:
    """Let Lightning's default progress bar write to stderr, as stdout is for results.

    Args:
        trainer: A new Trainer. A progress bar that the user has configured is not changed.
    """
    # Lightning appends its default to the configured callbacks; the checkpoints come last.
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for position, callback in enumerate(callbacks):
        if type(callback) is RichProgressBar and not callback._console_kwargs:
            callbacks[position] = RichProgressBar(console_kwargs={"stderr": True})


def _built(described: dict[str, Any], **more: Any) -> Any:
    return import_class(described["class_path"])(**described.get("init_args", {}), **more)
