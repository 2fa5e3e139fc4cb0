"""Settings and results of a run, for a comparison."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.batch import Task


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
        best_val: Best validation accuracy per track, 0 to 1; in the multilabel task the best mean average precision.
        epoch: Number of the selected epoch, which was tested, from 1.
        chosen_by: Criterion by which the epoch was selected.
        train: Training accuracy of the selected epoch, per clip as augmented in training, 0 to 1.
        val: Validation accuracy of the selected epoch, per track, 0 to 1.
        test: Test accuracy per track, 0 to 1; None in the multilabel task.
        f1_macro: F1 of the test, the mean over genres, 0 to 1.
        average_precision: Of a multilabel test: average precision, the mean over genres, 0 to 1.
        roc_auc: Of a multilabel test: area under the ROC curve, the mean over genres, 0 to 1.
        calibration_error: Expected calibration error of the test, 0 to 1.
        memory_gb: Peak memory of the accelerator, or of the process if there was none, GB.
        is_baseline: Whether the run is a baseline, with which networks are compared.
        error: Message of a run that failed; "" if it did not.
        settings: Settings of the run as JSON, without seed and arguments that depend on the machine.
        data: Name of the data with its subset or folder; "" if the configuration has none.
        fold: Number of the fold of a cross-validation; None without one.
        n_folds: Number of folds.
        repeat: Number of the repeat: the seed of the folds.
        task: Whether a track has one genre or several.
        members: Runs of the folds that are pooled in this run.
        history: Table of metrics.csv, a row for each epoch.
        predictions: Genre, predicted genre and artist id of test.csv, a row for each test track; its index is the track
            id. In the multiclass task it also has `confidence`, the probability of the predicted genre.
        label_names: Of a multilabel test: names of the genres.
        probs: Of a multilabel test: probability of each genre for each track, shape (t, c).
        labels: Of a multilabel test: whether each track has each genre, shape (t, c).
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
    average_precision: float | None = None
    roc_auc: float | None = None
    calibration_error: float | None = None
    memory_gb: float | None = None
    is_baseline: bool = False
    error: str = ""
    settings: str = ""
    data: str = ""
    fold: int | None = None
    n_folds: int = 0
    repeat: int = 0
    task: Task = "multiclass"
    members: list["Run"] = field(default_factory=list)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    label_names: list[str] = field(default_factory=list)
    probs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    labels: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))

    @property
    def score(self) -> float | None:
        """Primary score of the test: accuracy, or mean average precision in the multilabel task."""
        return self.average_precision if self.task == "multilabel" else self.test

    @property
    def gap(self) -> float | None:
        """Training accuracy minus validation accuracy in the epoch that was tested, -1 to 1."""
        return None if self.train is None or self.val is None else self.train - self.val
