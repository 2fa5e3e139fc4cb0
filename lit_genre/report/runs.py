"""Reads a finished run back from its folder."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import TrackScores, score


@dataclass
class Run:
    """A run, as its folder tells it; None where it does not.

    Attributes:
        folder: Where it lies.
        model: What it is compared as: the name of its configuration in a comparison, else its backbone.
        seed: Seed of everything.
        backbone: Class of its backbone.
        parameters: Number of parameters of the backbone.
        seconds: Seconds of training, validation included.
        epochs: Number of epochs.
        best_val: Best validation accuracy per track, 0 to 1.
        test: Test accuracy per track, 0 to 1.
        f1_macro: F1 of the test, the mean over genres, 0 to 1.
        memory_gb: Peak memory of the accelerator, or else of the process, GB.
        error: Why it failed, "" where it did not.
        history: A row an epoch, of metrics.csv.
        predictions: A row a test track, of test.csv; its index is the track's id.
    """

    folder: Path
    model: str
    seed: int | None = None
    backbone: str = ""
    parameters: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    best_val: float | None = None
    test: float | None = None
    f1_macro: float | None = None
    memory_gb: float | None = None
    error: str = ""
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_run(folder: Path) -> Run:
    """Read a run's folder; what is not there yet is left out.

    Raises:
        LitGenreError: A file in it is damaged.
    """
    name, seed = re.fullmatch(r"(.*?)(?:-seed(\d+))?", folder.name).groups()  # type: ignore[union-attr]
    run = Run(folder, name, None if seed is None else int(seed))
    try:
        if (path := folder / "config.yaml").exists():
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            check_task(config, path)
            run.backbone = config["model"]["backbone"]["class_path"].rpartition(".")[2]
            if seed is None:
                run.model, run.seed = run.backbone, int(config["seed_everything"])
        if (path := folder / "metrics.csv").exists():
            _read_history(run, pd.read_csv(path))
        if (path := folder / "summary.json").exists():
            run.parameters = json.loads(path.read_text(encoding="utf-8"))["parameters"]
        if (path := folder / "test.csv").exists():
            _read_predictions(run, pd.read_csv(path, index_col="track_id"))
        if (path := folder / "error.txt").exists():
            run.error = path.read_text(encoding="utf-8").strip()
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise LitGenreError(
            f"{path} is damaged: {type(error).__name__}: {error}. Delete the run, or leave it out."
        ) from error
    return run


def check_task(config: dict[str, Any], path: Path) -> None:
    """Refuse a configuration for tracks of several genres.

    Raises:
        LitGenreError: It is one.
    """
    if ((config.get("data") or {}).get("init_args") or {}).get("task") == "multi":
        raise LitGenreError(
            f"{path} is for tracks of several genres. A comparison rates accuracy, which those do not have: leave it "
            "out, or set task: single."
        )


def _read_history(run: Run, history: pd.DataFrame) -> None:
    run.history, run.epochs = history, len(history)
    run.seconds = float(history["seconds"].sum())
    if "val/accuracy" in history:
        run.best_val = float(history["val/accuracy"].max())
    if "memory_gb" in history:
        run.memory_gb = float(history["memory_gb"].max())


def _read_predictions(run: Run, predictions: pd.DataFrame) -> None:
    run.predictions = predictions
    classes = list(predictions.columns[2:])
    label = torch.tensor([classes.index(genre) for genre in predictions["genre"]])
    probs = torch.tensor(predictions[classes].to_numpy(), dtype=torch.float32)
    scores = score(TrackScores(torch.tensor(predictions.index.to_numpy()), probs, label), classes)
    run.test, run.f1_macro = float(scores["accuracy"]), float(scores["f1_macro"])
