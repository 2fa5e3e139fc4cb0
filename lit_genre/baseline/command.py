"""The command `baseline`: what MFCC statistics and a classifier of scikit-learn make of the data of a fit."""

import argparse
import time
from collections.abc import Sequence
from typing import Final, get_args

import torch

from lit_genre.baseline.classifier import NAMES, Chosen, Kind, Rows, choose, probabilities
from lit_genre.baseline.features import MFCCStatistics
from lit_genre.callbacks.at_once import write_run
from lit_genre.console import console
from lit_genre.data.datamodule import TrackDataModule
from lit_genre.data.dataset import ClipDataset
from lit_genre.data.track import SPLITS, Split
from lit_genre.model.metrics import TrackScores
from lit_genre.settings import add_folder, read_settings

# It is not built: any whose name stands for the network that is left out.
_UNUSED_BACKBONE: Final = "CRNN"


def run(args: Sequence[str]) -> None:
    """Run the command."""
    options, words = _parser().parse_known_args(args)
    kind: Kind = options.classifier
    settings = read_settings(words, _UNUSED_BACKBONE)
    folder = settings.run_folder(options.folder, "baseline")
    data = settings.build_data()
    began = time.perf_counter()
    rows = {split: _rows(data, split) for split in SPLITS if split != "val" or data.has_val}
    chosen = choose(kind, rows["train"], rows.get("val"))
    scores: dict[str, TrackScores] = {split: _scores(chosen, its, len(data.classes)) for split, its in rows.items()}
    seconds = time.perf_counter() - began
    tracks, features = rows["train"].features.shape
    how = "chosen on the val split" if "val" in rows else "fixed, for no track is in the val split"
    console.print(f"{NAMES[kind]}: {features} features of {tracks:,} training tracks; C is {chosen.strength:g}, {how}.")
    model = {"sample_rate": data.sample_rate, "backbone": {"class_path": NAMES[kind]}}
    summary = {"parameters": None, "name": NAMES[kind], "baseline": True, "strength": chosen.strength}
    write_run(folder, data.classes, scores, seconds, {"data": settings.plain()["data"], "model": model}, summary)


def _rows(data: TrackDataModule, split: Split) -> Rows:
    dataset = data.whole_tracks(split).dataset
    assert isinstance(dataset, ClipDataset)
    features = MFCCStatistics(data.sample_rate).of_tracks(dataset, f"Listening to {split}")
    return Rows(features, dataset.labels, dataset.track_ids)


def _scores(chosen: Chosen, rows: Rows, n_classes: int) -> TrackScores:
    probs = probabilities(chosen, rows.features, n_classes)
    return TrackScores(torch.from_numpy(rows.track_id), probs, torch.from_numpy(rows.label))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre baseline",
        usage="%(prog)s [--classifier svm|logistic] [--folder FOLDER] [WHAT lit-genre fit TAKES ...]",
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
    add_folder(parser)
    return parser
