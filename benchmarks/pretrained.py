"""A frozen pretrained encoder against the baseline, on splits of a data set other than its own.

    python benchmarks/pretrained.py --encoder plugins/musicnn/musicnn.yaml --data.root=data

Further words are those of `lit-genre fit`. Both hear all tracks once, whichever split they are in. Then tracks are
split anew by artist, a tenth each for validation and test, with a seed each; an SVM on MFCC statistics and a linear
head on the embeddings are trained, chosen and tested as `lit-genre baseline` and `lit-genre probe` do.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from lit_genre.baseline.classifier import Rows, choose, probabilities
from lit_genre.baseline.features import MFCCStatistics
from lit_genre.cli.run_spec import read_settings
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.track import SPLITS, Split, Track
from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.probe.embeddings import Clips, Embeddings
from lit_genre.probe.head import fit_head, track_scores

N_PARTS = 10


class Parts(NamedTuple):
    """Numbers of the tracks of each part."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def hear_statistics(words: Sequence[str]) -> tuple[Rows, TrackDataModule]:
    """Give the baseline's features of all tracks."""
    data = read_settings(words, "CRNN").build_data()
    datasets = [data.whole_tracks(split).dataset for split in _splits(data)]
    features = [MFCCStatistics(data.sample_rate).of_tracks(its, "Listening") for its in datasets]  # type: ignore[arg-type]
    label, track_id = (np.concatenate([getattr(its, name) for its in datasets]) for name in ("labels", "track_ids"))
    return Rows(np.concatenate(features), label, track_id), data


def hear_embeddings(words: Sequence[str]) -> Clips:
    """Give the encoder's embeddings of all clips."""
    data, model = read_settings(words).build()
    model.eval().requires_grad_(False)
    heard = [Embeddings(model, data).of(split) for split in _splits(data)]
    return Clips(*map(np.concatenate, zip(*heard, strict=True)))


def _splits(data: TrackDataModule) -> list[Split]:
    return [split for split in SPLITS if split != "val" or data.has_val]


def split_by_artist(rows: Rows, data: TrackDataModule, seed: int) -> Parts:
    """Split tracks, each artist into one part."""
    artists = [_artist(data.track(number)) for number in rows.track_id.tolist()]
    folds = StratifiedGroupKFold(N_PARTS, shuffle=True, random_state=seed).split(rows.features, rows.label, artists)
    test, val = (fold for (_, fold), _ in zip(folds, range(2), strict=False))
    rest = np.setdiff1d(np.arange(len(rows.label)), np.concatenate([test, val]))
    return Parts(*(rows.track_id[part] for part in (rest, val, test)))


def _artist(track: Track) -> int:
    """Number its artist; one who is not known is taken for another than all others."""
    return track.artist_id if track.artist_id >= 0 else -2 - track.track_id


def part_of(everything: Any, track_ids: NDArray[np.int64]) -> Any:
    """Choose the rows of some tracks."""
    chosen = np.isin(everything.track_id, track_ids)
    return type(everything)(*(column[chosen] for column in everything))


def rate_baseline(rows: Rows, parts: Parts, n_classes: int) -> TrackScores:
    """Train and test the SVM."""
    train, val, test = (part_of(rows, part) for part in parts)
    probs = probabilities(choose("svm", train, val), test.features, n_classes)
    return TrackScores(torch.from_numpy(test.track_id), probs, torch.from_numpy(test.label))


def rate_probe(clips: Clips, parts: Parts, n_classes: int) -> TrackScores:
    """Train and test the head."""
    train, val, test = (part_of(clips, part) for part in parts)
    fitted = fit_head("linear", 0, train, val, seed=0)
    probs = np.zeros((len(test.label), n_classes))
    probs[:, fitted.classifier.classes_] = fitted.classifier.predict_proba(fitted.scaler.transform(test.embedding))
    return track_scores(torch.from_numpy(probs), test)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="configuration of the encoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options, words = parser.parse_known_args()
    rows, data = hear_statistics(words)
    clips = hear_embeddings(["--config", options.encoder, *words])
    print("| split | test tracks | MFCC+SVM | calibration error | probe | calibration error |")
    print("|---" * 6 + "|")
    accuracies = []
    for seed in options.seeds:
        split = split_by_artist(rows, data, seed)
        both = rate_baseline(rows, split, len(data.classes)), rate_probe(clips, split, len(data.classes))
        accuracies.append([100 * float(score(scores, data.classes)["accuracy"]) for scores in both])
        errors = [calibration_error(scores, data.classes) for scores in both]
        figures = " | ".join(f"{a:.1f} % | {e:.3f}" for a, e in zip(accuracies[-1], errors, strict=True))
        print(f"| {seed} | {len(split.test)} | {figures} |")
    first, second = (statistics.fmean(column) for column in zip(*accuracies, strict=True))
    print(f"| mean | | {first:.1f} % | | {second:.1f} % ({second - first:+.1f}) | |")


if __name__ == "__main__":
    main()
