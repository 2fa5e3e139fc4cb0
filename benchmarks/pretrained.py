"""Compare a frozen pretrained encoder with the baseline, on several random splits of a data set.

    python benchmarks/pretrained.py --encoder encoders/musicnn --data.root=data

Other options are those of `lit-genre fit`. Features and embeddings of all tracks are computed once. For each seed, the
tracks are split by artist, a tenth each for validation and test. Then an SVM on MFCC statistics and a linear head on
the embeddings are trained, selected and tested as `lit-genre baseline` and `lit-genre probe` do.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from lit_genre.baseline.classifier import TrackFeatures, fit_classifier, probabilities
from lit_genre.cli.run_spec import read_run_spec
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.track import SPLITS, Split, Track
from lit_genre.features.mfcc import MFCCStatistics
from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.probe.embeddings import ClipEmbeddings, EmbeddingCache
from lit_genre.probe.head import fit_head, track_scores

N_FOLDS = 10
"""A fold, a tenth of the tracks, is the test split; another one is the validation split."""


class TrackSplit(NamedTuple):
    """Ids of the tracks of each split, shape (t,)."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def compute_features(args: Sequence[str]) -> tuple[TrackFeatures, TrackDataModule]:
    """Compute the baseline's features of all tracks.

    Args:
        args: Options of `lit-genre fit` for the data.

    Returns:
        Features of the tracks, and the data.
    """
    # The name of the backbone is required, but no network is built.
    data = read_run_spec(args, "CRNN").build_data()
    datasets = [data.whole_tracks(split).dataset for split in _splits(data)]
    extractor = MFCCStatistics(data.sample_rate)
    features = [extractor.compute_all(dataset, "Extracting features") for dataset in datasets]  # type: ignore[arg-type]
    label = np.concatenate([dataset.labels for dataset in datasets])  # type: ignore[attr-defined]
    track_id = np.concatenate([dataset.track_ids for dataset in datasets])  # type: ignore[attr-defined]
    return TrackFeatures(np.concatenate(features), label, track_id), data


def compute_embeddings(args: Sequence[str]) -> ClipEmbeddings:
    """Compute the encoder's embeddings of all clips.

    Args:
        args: Options of `lit-genre fit` for data and encoder.
    """
    data, model = read_run_spec(args).build()
    model.eval().requires_grad_(False)
    clips = [EmbeddingCache(model, data).embed(split) for split in _splits(data)]
    return ClipEmbeddings(*map(np.concatenate, zip(*clips, strict=True)))


def _splits(data: TrackDataModule) -> list[Split]:
    return [split for split in SPLITS if split != "val" or data.has_val]


def split_by_artist(tracks: TrackFeatures, data: TrackDataModule, seed: int) -> TrackSplit:
    """Split tracks so that each artist is in one split only.

    Args:
        tracks: All tracks.
        data: The data, which has the artists.
        seed: Seed of the order of the artists.
    """
    artists = [_artist(data.track(track_id)) for track_id in tracks.track_id.tolist()]
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(tracks.features, tracks.label, artists)
    test, val = (fold for (_, fold), _ in zip(folds, range(2), strict=False))
    train = np.setdiff1d(np.arange(len(tracks.label)), np.concatenate([test, val]))
    return TrackSplit(*(tracks.track_id[positions] for positions in (train, val, test)))


def _artist(track: Track) -> int:
    """Return the id of the artist; a track of an unknown artist counts as an artist of its own."""
    return track.artist_id if track.artist_id >= 0 else -2 - track.track_id


def select_tracks(table: Any, track_ids: NDArray[np.int64]) -> Any:
    """Return the rows of some tracks.

    Args:
        table: A TrackFeatures or ClipEmbeddings.
        track_ids: Ids of the tracks.

    Returns:
        A table of the same type.
    """
    is_selected = np.isin(table.track_id, track_ids)
    return type(table)(*(column[is_selected] for column in table))


def score_baseline(tracks: TrackFeatures, split: TrackSplit, n_classes: int) -> TrackScores:
    """Train and test the SVM; return its probabilities of the test tracks."""
    train, val, test = (select_tracks(tracks, track_ids) for track_ids in split)
    probs = probabilities(fit_classifier("svm", train, val), test.features, n_classes)
    return TrackScores(torch.from_numpy(test.track_id), probs, torch.from_numpy(test.label))


def score_probe(clips: ClipEmbeddings, split: TrackSplit, n_classes: int) -> TrackScores:
    """Train and test the head; return its probabilities of the test tracks."""
    train, val, test = (select_tracks(clips, track_ids) for track_ids in split)
    fitted = fit_head("logistic", 0, train, val, seed=0)
    probs = np.zeros((len(test.label), n_classes))
    probs[:, fitted.classifier.classes_] = fitted.classifier.predict_proba(fitted.scaler.transform(test.embedding))
    return track_scores(torch.from_numpy(probs), test)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="configuration of the encoder (YAML)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options, fit_args = parser.parse_known_args()
    tracks, data = compute_features(fit_args)
    clips = compute_embeddings(["--config", options.encoder, *fit_args])
    print("| split | test tracks | MFCC+SVM | calibration error | probe | calibration error |")
    print("|---" * 6 + "|")
    accuracies = []
    for seed in options.seeds:
        split = split_by_artist(tracks, data, seed)
        results = score_baseline(tracks, split, len(data.classes)), score_probe(clips, split, len(data.classes))
        accuracies.append([100 * float(score(scores, data.classes)["accuracy"]) for scores in results])
        errors = [calibration_error(scores, data.classes) for scores in results]
        figures = " | ".join(f"{a:.1f} % | {e:.3f}" for a, e in zip(accuracies[-1], errors, strict=True))
        print(f"| {seed} | {len(split.test)} | {figures} |")
    first, second = (statistics.fmean(column) for column in zip(*accuracies, strict=True))
    print(f"| mean | | {first:.1f} % | | {second:.1f} % ({second - first:+.1f}) | |")


if __name__ == "__main__":
    main()
