"""Read the results of a run from its folder, for a comparison."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Final

import pandas as pd
import torch

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.runs.accuracy import TEST_COLUMNS
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.listing import describe_data
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


@dataclass
class Run:
    """Settings and results of a run; None if its folder does not contain a value.

    Attributes:
        folder: Folder of the run.
        model: Name in the comparison: the name in the summary, else that of the configuration in the comparison, else
            the backbone.
        seed: Seed of the run; None for a baseline, which has none.
        backbone: Class name of the backbone.
        parameters: Number of parameters of the backbone.
        feature_seconds: Time of computing features or embeddings of the training and validation tracks before training,
            s; 0 for a network, which computes them during training; None if an earlier run computed them.
        seconds: Training time, s: epochs with their validation, or fitting classifiers and selecting one of them on the
            validation split. Neither this time nor `feature_seconds` includes decoding or the test.
        epochs: Number of epochs.
        best_val: Best validation accuracy per track, 0 to 1.
        epoch: Number of the selected epoch, which was tested, from 1.
        chosen_by: Criterion by which the epoch was selected.
        train: Training accuracy of the selected epoch, per clip as augmented in training, 0 to 1.
        val: Validation accuracy of the selected epoch, per track, 0 to 1.
        test: Test accuracy per track, 0 to 1.
        f1_macro: F1 of the test, the mean over genres, 0 to 1.
        calibration_error: Expected calibration error of the test, 0 to 1.
        memory_gb: Peak memory of the accelerator, or of the process if there was none, GB.
        is_baseline: Whether the run is a baseline, with which networks are compared.
        error: Message of a run that failed; "" if it did not.
        settings: Settings of the run as JSON, without seed and arguments that depend on the machine.
        data: Name of the data with its subset or folder; "" if the configuration has none.
        fold: Number of the fold of a cross-validation; None without one.
        n_folds: Number of folds.
        repeat: Number of the repeat: the seed of the folds.
        members: Runs of the folds that are pooled in this run.
        history: Table of metrics.csv, a row for each epoch.
        predictions: Genre, predicted genre and artist id of test.csv, a row for each test track; its index is the track
            id.
    """

    folder: Path
    model: str
    seed: int | None = None
    backbone: str = ""
    parameters: int | None = None
    feature_seconds: float | None = None
    seconds: float | None = None
    epochs: int | None = None
    best_val: float | None = None
    epoch: int | None = None
    chosen_by: str = ""
    train: float | None = None
    val: float | None = None
    test: float | None = None
    f1_macro: float | None = None
    calibration_error: float | None = None
    memory_gb: float | None = None
    is_baseline: bool = False
    error: str = ""
    settings: str = ""
    data: str = ""
    fold: int | None = None
    n_folds: int = 0
    repeat: int = 0
    members: list["Run"] = field(default_factory=list)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def gap(self) -> float | None:
        """Training accuracy minus validation accuracy in the epoch that was tested, -1 to 1."""
        return None if self.train is None or self.val is None else self.train - self.val


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
            check_task(config, path)
            run.backbone = config["model"]["backbone"]["class_path"].rpartition(".")[2]
            run.settings = _settings_of(config)
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
            _read_predictions(run, path)
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


def check_task(config: dict[str, Any], path: Path) -> None:
    """Refuse the configuration of a run of the multilabel task.

    Args:
        config: The configuration.
        path: Its file, for the message.

    Raises:
        LitGenreError: The task is multilabel.
    """
    data = config.get("data")
    arguments = data.get("init_args") if isinstance(data, dict) else None
    if isinstance(arguments, dict) and arguments.get("task") == "multilabel":
        raise LitGenreError(
            f"{path} has task: multilabel. A comparison reports accuracy, which the multilabel task does not have. "
            "Leave this configuration out, or set task: multiclass."
        )


def _settings_of(config: dict[str, Any]) -> str:
    """Return all settings that determine a run, apart from its seed, as JSON."""
    data, trainer = config.get("data") or {}, config.get("trainer") or {}
    arguments = {name: value for name, value in (data.get("init_args") or {}).items() if name not in _OF_THE_MACHINE}
    training = {name: trainer.get(name) for name in _OF_TRAINING}
    determining = [config["model"], data.get("class_path"), arguments, config.get("select_by"), training]
    # default=str: YAML reads an unquoted date as a date object, which JSON does not have.
    return json.dumps(determining, default=str)


def _read_history(run: Run, history: pd.DataFrame, chosen: int | None) -> None:
    run.history, run.epochs = history, len(history)
    run.seconds = float(history["seconds"].sum())
    if "val/accuracy" in history:
        run.best_val = float(history["val/accuracy"].max())
        if chosen is None:
            # The summary of a baseline has no epoch, and an unfinished run has no summary.
            chosen = int(history["epoch"][history["val/accuracy"].argmax()])
    if chosen is not None:
        (row,) = history[history["epoch"] == chosen].to_dict("records")
        run.epoch = chosen + 1 if len(history) > 1 else None
        run.train, run.val = row.get("train/accuracy"), row.get("val/accuracy")
    if "memory_gb" in history:
        run.memory_gb = float(history["memory_gb"].max())


def _read_predictions(run: Run, path: Path) -> None:
    # Everything as text, also the header: a genre may be called 1980, None or True, or like another column.
    header, *rows = pd.read_csv(path, header=None, dtype=str, keep_default_na=False).to_numpy().tolist()
    n_leading = len(TEST_COLUMNS)
    if header[:n_leading] != list(TEST_COLUMNS):
        raise ValueError(f"its columns begin with {', '.join(header[:n_leading])}")
    classes = header[n_leading:]
    columns: list[list[Any]] = [[row[place] for row in rows] for place in range(n_leading)]
    columns[3] = [int(artist) for artist in columns[3]]
    track_id = [int(text) for text in columns[0]]
    run.predictions = pd.DataFrame(dict(zip(TEST_COLUMNS[1:], columns[1:], strict=True)), index=track_id)
    label = torch.tensor([classes.index(genre) for genre in columns[1]])
    # torch.tensor and float() accept the text "nan", hence the check below.
    probs = torch.tensor([[float(share) for share in row[n_leading:]] for row in rows])
    if not probs.isfinite().all():
        raise ValueError("a probability is not a finite number")
    scores = TrackScores(torch.tensor(track_id), probs, label)
    rated = score(scores, classes)
    run.test, run.f1_macro = float(rated["accuracy"]), float(rated["f1_macro"])
    run.calibration_error = calibration_error(scores, classes)
    run.predictions["confidence"] = probs.amax(1).tolist()
