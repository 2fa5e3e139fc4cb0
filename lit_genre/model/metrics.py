"""What is reported: scores over whole tracks, from the probabilities of their clips."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score
from torchmetrics.utilities import dim_zero_cat


class TrackScores(NamedTuple):
    """One row a track, in the order of track_id.

    Attributes:
        track_id: Number of the track, shape (t,).
        probs: Probability of each class, the mean over the track's clips, shape (t, c).
        label: True class, shape (t,).
    """

    track_id: Tensor
    probs: Tensor
    label: Tensor


class TrackAverage(Metric):
    """Collects the probabilities of clips and averages them over each track."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in TrackScores._fields:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, track_id: Tensor, probs: Tensor, label: Tensor) -> None:
        """Add a batch of clips, shapes (b,), (b, c), (b,)."""
        for name, value in zip(TrackScores._fields, (track_id, probs, label), strict=True):
            getattr(self, name).append(value)

    def scores(self) -> TrackScores:
        """Average over the clips of each track."""
        track_id, probs, label = self.compute()
        # torchmetrics makes a scalar of what has one element, as a column of a single track has.
        return TrackScores(track_id.reshape(-1), probs, label.reshape(-1))

    def compute(self) -> TrackScores:
        """Do the work of `scores` on every process's clips."""
        track_id, probs, label = (dim_zero_cat(getattr(self, name)) for name in TrackScores._fields)
        tracks, row = torch.unique(track_id, return_inverse=True)
        total = probs.new_zeros(len(tracks), probs.shape[1]).index_add_(0, row, probs)
        return TrackScores(
            tracks, total / row.bincount()[:, None], label.new_zeros(len(tracks)).scatter_(0, row, label)
        )


def score(scores: TrackScores, classes: list[str]) -> dict[str, Tensor]:
    """Rate tracks: `accuracy`, `f1_macro` and the F1 of each class, `f1/<class>`, each 0 to 1."""
    probs, label, n_classes = scores.probs, scores.label, len(classes)
    f1 = multiclass_f1_score(probs, label, n_classes, average="none")
    return {
        "accuracy": multiclass_accuracy(probs, label, n_classes, average="micro"),
        "f1_macro": multiclass_f1_score(probs, label, n_classes, average="macro"),
        **{f"f1/{name}": value for name, value in zip(classes, f1, strict=True)},
    }
