"""Read the results of a run from its folder, for a comparison."""

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Final

import pandas as pd

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import PRIMARY_METRIC
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.listing import describe_data
from lit_genre.runs.predictions import read_predictions
from lit_genre.runs.run import Run
from lit_genre.trust.plain import read_yaml

_OF_THE_MACHINE: Final = frozenset(
    (
        "root",
        "path",
        "csv",
        "store_root",
        "num_workers",
        "preload",
        "decode_once",
        "cache_mel",
        "max_missing_fraction",
        "seed",
        # Folds are pooled.
        "fold",
        "fold_seed",
    )
)
"""Arguments of the data module that differ between machines, and do not change the data."""

_OF_TRAINING: Final = (
    *("max_epochs", "min_epochs", "max_steps", "limit_train_batches"),
    *("accumulate_grad_batches", "gradient_clip_val", "precision", "callbacks"),
)
"""Arguments of the trainer that change the trained model."""


def read_run(path: Path) -> Run:
    """Read the folder of a run. Files that are missing are skipped.

    Args:
        path: Folder of the run.

    Returns:
        The run.

    Raises:
        LitGenreError: A file in it is damaged.
    """
    # A comparison names the folders of its runs <model>-seed<seed>. A number of 18 digits fits an int64.
    pattern = r"(.*?)(?:-seed(\d{1,18}))?(?:-repeat\d{1,9}-fold\d{1,9})?"
    name, seed = re.fullmatch(pattern, path.name, re.DOTALL).groups()  # type: ignore[union-attr]
    folder, run = RunFolder(path), Run(path, name, None if seed is None else int(seed))
    if path.is_dir():
        folder.check_links()
    try:
        if (path := folder.config).exists():
            config = read_yaml(path)
            run.task = "multilabel" if is_multilabel(config) else "multiclass"
            run.backbone = config["model"]["backbone"]["class_path"].rpartition(".")[2]
            run.settings = _settings_of(config, folder.read_summary())
            run.data = describe_data(config["data"]) if config.get("data") else ""
            arguments = (config.get("data") or {}).get("init_args") or {}
            run.fold, run.n_folds = _typed(arguments, "fold", int), _typed(arguments, "folds", int) or 0
            run.repeat = _typed(arguments, "fold_seed", int) or 0
            if seed is None:
                # The folder is not named by a comparison. A baseline has no seed.
                run.model, run.seed = run.backbone, _typed(config, "seed_everything", int)
        path = folder.summary
        if summary := folder.read_summary():
            run.parameters, run.chosen_by = _typed(summary, "parameters", int), _typed(summary, "chosen_by", str) or ""
            run.is_baseline, run.model = bool(summary.get("baseline")), _typed(summary, "name", str) or run.model
        if (path := folder.metrics).exists():
            # read_csv accepts a column of text, of a damaged file; to_numeric raises an error.
            _read_history(run, pd.read_csv(path).apply(pd.to_numeric), _typed(summary, "epoch", int))
            # A network computes its features in training, and its summary does not mention them.
            run.feature_seconds = _typed(summary, "feature_seconds", int | float) if "name" in summary else 0.0
        if (path := folder.test_table).exists():
            read_predictions(run, path)
        path = folder.error
        run.error = folder.read_error()
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise LitGenreError(
            f"{path} is damaged: {type(error).__name__}: {error}. Delete the run, or leave it out."
        ) from error
    return run


def _typed(content: dict[str, Any], name: str, kind: type | UnionType) -> Any:
    """Return a value of a file; None if it is missing."""
    value = content.get(name)
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")
    return value


def is_multilabel(config: dict[str, Any]) -> bool:
    """Check whether a configuration sets the multilabel task.

    Args:
        config: Configuration of a run, or a part of one.
    """
    data, model = config.get("data"), config.get("model")
    arguments = data.get("init_args") if isinstance(data, dict) else None
    return any(isinstance(part, dict) and part.get("task") == "multilabel" for part in (arguments, model))


def _settings_of(config: dict[str, Any], summary: dict[str, Any]) -> str:
    """Return all settings that determine a run, apart from its seed, as JSON."""
    model = config["model"]
    if "asked_layers" in summary:
        # A probe may choose another layer in each fold.
        model = {**model, "layers": summary["asked_layers"]}
    data, trainer = config.get("data") or {}, config.get("trainer") or {}
    arguments = {name: value for name, value in (data.get("init_args") or {}).items() if name not in _OF_THE_MACHINE}
    training = {name: trainer.get(name) for name in _OF_TRAINING}
    determining = [model, data.get("class_path"), arguments, config.get("select_by"), training]
    # default=str: YAML reads an unquoted date as a date object, which JSON does not have.
    return json.dumps(determining, default=str)


def _read_history(run: Run, history: pd.DataFrame, chosen: int | None) -> None:
    run.history, run.epochs = history, len(history)
    run.seconds = float(history["seconds"].sum())
    val = f"val/{PRIMARY_METRIC[run.task]}"
    if val in history:
        run.best_val = float(history[val].max())
        if chosen is None:
            # The summary of a baseline has no epoch, and an unfinished run has no summary.
            chosen = int(history["epoch"][history[val].argmax()])
    if chosen is not None:
        (row,) = history[history["epoch"] == chosen].to_dict("records")
        run.epoch = chosen + 1 if len(history) > 1 else None
        run.train, run.val = row.get("train/accuracy"), row.get(val)
    if "memory_gb" in history:
        run.memory_gb = float(history["memory_gb"].max())
