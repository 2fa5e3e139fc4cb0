"""Accuracy with few training tracks: heads on random tracks of each genre, several times for each number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lit_genre.cluster_statistics import accuracy_interval
from lit_genre.console import progress
from lit_genre.errors import LitGenreError
from lit_genre.plots.figure import COLOURS, figure
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import fit_head, track_scores

DRAWS: Final = 10
"""Random choices of the training tracks for each number of them."""


def few_shot_curve(
    train: ClipEmbeddings, test: ClipEmbeddings, shots: Sequence[int], artists: Mapping[int, int], seed: int
) -> pd.DataFrame:
    """Train logistic heads on few tracks of each genre, and test them.

    Nothing is selected: the regularization is the fixed one of a probe without a validation split. A genre with fewer
    tracks than asked for has all of them.

    Args:
        train: Clips of the training tracks, from which tracks are drawn, with one genre each.
        test: Clips of the test tracks.
        shots: Numbers of training tracks of each genre, at least 1.
        artists: Id of the artist by track id.
        seed: Seed of the draws.

    Returns:
        A row for each number: shots, tracks (number of training tracks), accuracy (mean over the draws, 0 to 1), low
        and high (95 % interval over the test artists), std (of the accuracies of the draws).

    Raises:
        LitGenreError: A track has several genres, or a number is below 1.
    """
    if train.label.ndim == 2:
        raise LitGenreError("--shots counts tracks of one genre, but the task is multilabel. Leave it out.")
    if min(shots) < 1:
        raise LitGenreError(f"--shots has {min(shots)}, but must be numbers of at least 1.")
    random = np.random.default_rng(seed)
    rows = []
    with progress("Training", len(shots) * DRAWS, "heads") as advance:
        for number in shots:
            correct, n_tracks = [], 0
            for _ in range(DRAWS):
                chosen = _draw(train, number, random)
                correct.append(_is_correct(chosen, test))
                n_tracks = len(np.unique(chosen.track_id))
                advance()
            track_id = np.unique(test.track_id)
            clusters = np.array([artists[track] for track in track_id.tolist()])
            low, high = accuracy_interval(np.mean(correct, 0), clusters)
            by_draw = np.mean(correct, 1)
            rows.append((number, n_tracks, by_draw.mean(), low, high, by_draw.std(ddof=1)))
    return pd.DataFrame(rows, columns=["shots", "tracks", "accuracy", "low", "high", "std"])


def draw_curve(curve: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the accuracy over the number of training tracks of each genre, with its interval.

    Args:
        curve: Rows of `few_shot_curve`.
        title: Title of the plot.
        path: PNG file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    with figure(path, 7, 5) as drawn:
        axes = drawn.subplots()
        axes.fill_between(
            curve["shots"], 100 * curve["low"], 100 * curve["high"], color=COLOURS[0], alpha=0.2, linewidth=0,
            label="95 % interval over test artists",
        )  # fmt: skip
        axes.errorbar(
            curve["shots"], 100 * curve["accuracy"], 100 * curve["std"], color=COLOURS[0], marker="o", capsize=3,
            label=f"mean and deviation of {DRAWS} draws",
        )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(curve["shots"], [str(number) for number in curve["shots"]])
        axes.set_xlabel("training tracks of each genre")
        axes.set_ylabel("test accuracy, %")
        axes.set_title(title)
        axes.legend(loc="lower right")


def _draw(train: ClipEmbeddings, number: int, random: np.random.Generator) -> ClipEmbeddings:
    """Return the clips of some tracks of each genre."""
    track_id, first = np.unique(train.track_id, return_index=True)
    label = train.label[first]
    chosen: list[NDArray[np.int64]] = []
    for genre in np.unique(label):
        tracks = track_id[label == genre]
        chosen.append(random.choice(tracks, min(number, len(tracks)), replace=False))
    rows = np.isin(train.track_id, np.concatenate(chosen))
    return ClipEmbeddings(train.embedding[rows], train.label[rows], train.track_id[rows])


def _is_correct(train: ClipEmbeddings, test: ClipEmbeddings) -> NDArray[np.bool_]:
    """Return whether each test track, in the order of ids, is predicted right by a head on some training clips."""
    fitted = fit_head(train, None, "logistic", head_dim=0, seed=0)
    probs = torch.from_numpy(fitted.classifier.predict_proba(fitted.scaler.transform(test.embedding)))
    scores = track_scores(probs, test)
    correct: NDArray[np.bool_] = fitted.classifier.classes_[scores.probs.argmax(1).numpy()] == scores.label.numpy()
    return correct
