"""Train and test a classifier on statistics of MFCCs and spectra."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Final

import torch

from lit_genre.baseline import Kind
from lit_genre.baseline.classifier import (
    FittedClassifier,
    TrackFeatures,
    baseline_name,
    fit_classifier,
    probabilities,
)
from lit_genre.cli.run_spec import read_run_spec
from lit_genre.console import console
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.features import Features
from lit_genre.features.mfcc import MFCCStatistics
from lit_genre.model.metrics import TrackScores
from lit_genre.runs.writer import timed, write_run

# The options of a run must name a network, which is not built here; any name will do.
_UNUSED_BACKBONE: Final = "CRNN"


def train_baseline(options: argparse.Namespace, run_args: Sequence[str]) -> None:
    """Compute the features, train and test the classifier, and write a run.

    Args:
        options: Parsed arguments of the command.
        run_args: Options of `fit` that name the data.

    Raises:
        LitGenreError: The data cannot be read or has only one genre, or the folder has a run.
    """
    kind: Kind = options.classifier
    name = baseline_name(options.features, kind, options.class_weights)
    run_spec = read_run_spec(run_args, _UNUSED_BACKBONE)
    folder = run_spec.run_folder(options.output, "baseline")
    data = run_spec.build_data()
    splits = [split for split in SPLITS if split != "val" or data.has_val]
    timed_features = {split: timed(partial(_compute_features, data, split, options.features)) for split in splits}
    features = {split: split_features for split, (split_features, _) in timed_features.items()}
    # The test split is part of neither time, as in the training of a network.
    feature_seconds = sum(seconds for split, (_, seconds) in timed_features.items() if split != "test")
    fitted, seconds = timed(
        partial(fit_classifier, kind, features["train"], features.get("val"), options.class_weights)
    )
    n_classes = len(data.classes)
    scores: dict[str, TrackScores] = {split: _score(fitted, tracks, n_classes) for split, tracks in features.items()}
    n_tracks, n_features = features["train"].features.shape
    selection = "selected on the val split" if "val" in features else "fixed, because the val split has no tracks"
    console.print(
        f"{name}: {n_features} features of {n_tracks:,} training tracks. C is {fitted.regularization:g}, {selection}."
    )
    model = {"sample_rate": data.sample_rate, "backbone": {"class_path": name}}
    summary = {"parameters": None, "name": name, "baseline": True, "regularization": fitted.regularization}
    config = {"data": run_spec.plain()["data"], "model": model}
    write_run(folder, data.classes, scores, seconds, feature_seconds, config, summary, data.artist_ids)


def _compute_features(data: TrackDataModule, split: Split, features: Features) -> TrackFeatures:
    dataset = data.whole_tracks(split).dataset
    assert isinstance(dataset, ClipDataset)
    values = MFCCStatistics(data.sample_rate, features).compute_all(dataset, f"Extracting features: {split}")
    return TrackFeatures(values, dataset.labels, dataset.track_ids)


def _score(fitted: FittedClassifier, tracks: TrackFeatures, n_classes: int) -> TrackScores:
    probs = probabilities(fitted, tracks.features, n_classes)
    return TrackScores(torch.from_numpy(tracks.track_id), probs, torch.from_numpy(tracks.label))
