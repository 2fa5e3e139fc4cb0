"""The command `baseline`: train and test a classifier on statistics of MFCCs and spectra."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Final, get_args

import torch

from lit_genre.baseline.classifier import (
    FittedClassifier,
    Kind,
    TrackFeatures,
    baseline_name,
    fit_classifier,
    probabilities,
)
from lit_genre.cli.run_spec import add_folder, read_run_spec
from lit_genre.console import console
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.features.mfcc import Features, MFCCStatistics
from lit_genre.model.metrics import TrackScores
from lit_genre.runs.writer import timed, write_run

# The options of a run must name a network, which is not built here; any name will do.
_UNUSED_BACKBONE: Final = "CRNN"


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: The options of the command line, without the name of the command.

    Raises:
        LitGenreError: The data cannot be read or has only one genre, the folder has a run, or an option is invalid.
    """
    options, run_args = _parser().parse_known_args(args)
    kind: Kind = options.classifier
    name = baseline_name(options.features, kind, options.class_weights)
    run_spec = read_run_spec(run_args, _UNUSED_BACKBONE)
    folder = run_spec.run_folder(options.folder, "baseline")
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
    write_run(folder, data.classes, scores, seconds, feature_seconds, config, summary)


def _compute_features(data: TrackDataModule, split: Split, features: Features) -> TrackFeatures:
    dataset = data.whole_tracks(split).dataset
    assert isinstance(dataset, ClipDataset)
    values = MFCCStatistics(data.sample_rate, features).compute_all(dataset, f"Extracting features: {split}")
    return TrackFeatures(values, dataset.labels, dataset.track_ids)


def _score(fitted: FittedClassifier, tracks: TrackFeatures, n_classes: int) -> TrackScores:
    probs = probabilities(fitted, tracks.features, n_classes)
    return TrackScores(torch.from_numpy(tracks.track_id), probs, torch.from_numpy(tracks.label))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre baseline",
        usage="%(prog)s [--classifier svm|logistic] [--features mfcc|mfcc+spectral] [--class_weights] "
        "[--folder FOLDER] [OPTIONS OF lit-genre fit FOR THE DATA ...]",
        description="Train a scikit-learn classifier on statistics of MFCCs, and test it, on the same splits as a "
        "network. A network should be more accurate than this baseline. The data is named as for lit-genre fit: "
        "--config configs/data/demo.yaml, --data.root=data and so on. Options of the model and the trainer are "
        "ignored.",
        # argparse must not take options of the data for abbreviations of its own.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--classifier",
        choices=get_args(Kind),
        default="svm",
        help="a support vector machine with a Gaussian kernel, or logistic regression (default: %(default)s)",
    )
    parser.add_argument(
        "--features",
        choices=get_args(Features),
        default="mfcc",
        help="statistics over time of MFCCs and their deltas, or of these, spectral contrast and spectral centroid "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--class_weights",
        action="store_true",
        help="weight the training tracks so that all genres have the same total weight",
    )
    add_folder(parser)
    return parser
