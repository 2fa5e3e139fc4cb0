"""The command `baseline`: trains and tests a classifier of scikit-learn on statistics of MFCCs and spectra."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Final, get_args

import torch

from lit_genre.baseline.classifier import FittedClassifier, Kind, Rows, baseline_name, choose, probabilities
from lit_genre.baseline.features import Features, MFCCStatistics
from lit_genre.cli.run_spec import add_folder, read_settings
from lit_genre.console import console
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.model.metrics import TrackScores
from lit_genre.runs.writer import timed, write_run

# It is not built: any whose name stands for the network that is left out.
_UNUSED_BACKBONE: Final = "CRNN"


def run(args: Sequence[str]) -> None:
    """Run the command."""
    options, words = _parser().parse_known_args(args)
    kind: Kind = options.classifier
    name = baseline_name(options.features, kind, options.class_weights)
    settings = read_settings(words, _UNUSED_BACKBONE)
    folder = settings.run_folder(options.folder, "baseline")
    data = settings.build_data()
    splits = [split for split in SPLITS if split != "val" or data.has_val]
    computed = {split: timed(partial(_rows, data, split, options.features)) for split in splits}
    rows = {split: of_split for split, (of_split, _) in computed.items()}
    # The test split is part of neither time, as in the training of a network.
    feature_seconds = sum(seconds for split, (_, seconds) in computed.items() if split != "test")
    chosen, seconds = timed(partial(choose, kind, rows["train"], rows.get("val"), options.class_weights))
    scores: dict[str, TrackScores] = {split: _scores(chosen, its, len(data.classes)) for split, its in rows.items()}
    tracks, features = rows["train"].features.shape
    how = "chosen on the val split" if "val" in rows else "fixed, for no track is in the val split"
    console.print(f"{name}: {features} features of {tracks:,} training tracks; C is {chosen.regularization:g}, {how}.")
    model = {"sample_rate": data.sample_rate, "backbone": {"class_path": name}}
    summary = {"parameters": None, "name": name, "baseline": True, "regularization": chosen.regularization}
    config = {"data": settings.plain()["data"], "model": model}
    write_run(folder, data.classes, scores, seconds, feature_seconds, config, summary)


def _rows(data: TrackDataModule, split: Split, features: Features) -> Rows:
    dataset = data.whole_tracks(split).dataset
    assert isinstance(dataset, ClipDataset)
    rows = MFCCStatistics(data.sample_rate, features).of_tracks(dataset, f"Extracting features: {split}")
    return Rows(rows, dataset.labels, dataset.track_ids)


def _scores(chosen: FittedClassifier, rows: Rows, n_classes: int) -> TrackScores:
    probs = probabilities(chosen, rows.features, n_classes)
    return TrackScores(torch.from_numpy(rows.track_id), probs, torch.from_numpy(rows.label))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre baseline",
        usage="%(prog)s [--classifier svm|logistic] [--features mfcc|mfcc+spectral] [--class_weights] "
        "[--folder FOLDER] [WHAT lit-genre fit TAKES ...]",
        description="Train statistics of MFCCs and a classifier of scikit-learn, which no network should lose to, on "
        "the splits of a network's data, and test it. The data is named as for lit-genre fit: --config "
        "configs/data/demo.yaml, --data.root data and so on. What is said of a network and its training is not heeded.",
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
        help="weigh the training tracks so that each genre counts alike, however many tracks it has",
    )
    add_folder(parser)
    return parser
