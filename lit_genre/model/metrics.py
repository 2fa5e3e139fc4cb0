"""What is reported: scores over whole tracks, from the probabilities of their clips."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multilabel_auroc,
    multilabel_average_precision,
)
from torchmetrics.utilities import dim_zero_cat

from lit_genre.batch import Task
from lit_genre.model.finite import check_finite

PRIMARY_METRIC: Final[dict[Task, str]] = {"multiclass": "accuracy", "multilabel": "average_precision_macro"}
"""The metric that a model is chosen by."""

BINS: Final = 10
"""Bins of probability of the reliability diagram and of its error."""

_DRAWS: Final = 200
_LISTED: Final = 3


class TrackScores(NamedTuple):
    """One row a track, in the order of track_id.

    Attributes:
        track_id: Number of the track, shape (t,).
        probs: Probability of each class, the mean over the track's clips, shape (t, c).
        label: True class, shape (t,), or which classes are true, shape (t, c).
    """

    track_id: Tensor
    probs: Tensor
    label: Tensor

    @property
    def several(self) -> bool:
        """Whether a track may have several genres."""
        return self.label.ndim == 2


class TrackAverage(Metric):
    """Collects the probabilities of clips and averages them over each track."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in TrackScores._fields:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, track_id: Tensor, probs: Tensor, label: Tensor) -> None:
        """Add a batch of clips, shapes (b,), (b, c), (b,) or (b, c)."""
        for name, value in zip(TrackScores._fields, (track_id, probs, label), strict=True):
            getattr(self, name).append(value)

    def scores(self) -> TrackScores:
        """Average over the clips of each track.

        Raises:
            LitGenreError: A probability is not finite.
        """
        track_id, probs, label = self.compute()
        _check_probs(track_id.reshape(-1), probs)
        # torchmetrics makes a scalar of what has one element, as a column of a single track has.
        return TrackScores(track_id.reshape(-1), probs, label.reshape(len(probs), *label.shape[1:]))

    def compute(self) -> TrackScores:
        """Do the work of `scores` on every process's clips."""
        track_id, probs, label = (dim_zero_cat(getattr(self, name)) for name in TrackScores._fields)
        tracks, row = torch.unique(track_id, return_inverse=True)
        total = probs.new_zeros(len(tracks), probs.shape[1]).index_add_(0, row, probs)
        label_of = label.new_zeros(len(tracks), *label.shape[1:])
        label_of[row] = label
        return TrackScores(tracks, total / row.bincount()[:, None], label_of)


def score(scores: TrackScores, classes: list[str]) -> dict[str, Tensor]:
    """Rate tracks, each figure 0 to 1.

    With one genre a track `accuracy`, the F1 of each class, `f1/<class>`, and `f1_macro`: their mean over the genres
    that at least one track has. A genre without a track has no F1: its figure is NaN, and it is left out of the mean.

    With several genres the mean average precision and the area under the ROC curve: `average_precision_macro`, the
    mean over genres, `average_precision_micro`, over all pairs of track and genre at once, `roc_auc_macro` and
    `roc_auc_micro`. Genres that no track has, or all, have neither and are left out of the means over genres.

    Args:
        scores: Of t tracks, at least one.
        classes: Class names.

    Returns:
        Each figure, a scalar, by its name.

    Raises:
        LitGenreError: A probability is not finite, so that no genre is the most probable one.
    """
    _check_probs(scores.track_id, scores.probs)
    return _score_multi(scores) if scores.several else _score_single(scores, classes)


def calibration_error(scores: TrackScores, classes: list[str]) -> float:
    """Compute the expected calibration error: how far probability and accuracy are apart, on average, 0 to 1."""
    return float(multiclass_calibration_error(scores.probs, scores.label, len(classes), n_bins=BINS, norm="l1"))


def calibration_error_by_chance(scores: TrackScores) -> float:
    """Compute the expected calibration error that so many tracks have on average where every probability is true.

    The fewer there are, the further the share of right ones in a bin is from its probability by chance alone.
    """
    confidence = scores.probs.amax(1).float()
    right = torch.rand((_DRAWS, len(confidence)), generator=torch.Generator().manual_seed(0)) < confidence
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    off = torch.zeros(_DRAWS, BINS).index_add_(1, bins, right.float() - confidence)
    return float(off.abs().sum(1).mean() / len(confidence))


def genres_named(probs: Tensor, classes: Sequence[str], several: bool) -> str:
    """Return the most probable genre, or all of at least 0.5 where a track may have several; probabilities (c,)."""
    if several:
        return "; ".join(classes[index] for index in (probs >= 0.5).nonzero())
    return classes[int(probs.argmax())]


def average_precision_of(scores: TrackScores) -> Tensor:
    """Compute the average precision of each genre where a track may have several, shape (c,); NaN where none has it."""
    present = _present(scores.label)
    average = scores.probs.new_full((scores.probs.shape[1],), torch.nan)
    if present.any():
        average[present] = multilabel_average_precision(
            scores.probs[:, present], scores.label[:, present], int(present.sum()), average="none"
        )
    return average


def _present(label: Tensor) -> Tensor:
    positives = label.sum(0)
    return (positives > 0) & (positives < len(label))


def _check_probs(track_id: Tensor, probs: Tensor) -> None:
    # argmax takes NaN for the greatest number, and the first class for that of a track of nothing else.
    broken = ~probs.isfinite().all(1)
    if broken.any():
        ids = ", ".join(map(str, track_id[broken][:_LISTED].tolist()))
        check_finite(probs, f"The probabilities of {int(broken.sum()):,} of {len(probs):,} tracks, such as {ids},")


def _score_multi(scores: TrackScores) -> dict[str, Tensor]:
    present = _present(scores.label)
    if not present.any():
        return {}
    probs, label = scores.probs[:, present], scores.label[:, present]
    figures = {}
    for name, rate in (("average_precision", multilabel_average_precision), ("roc_auc", multilabel_auroc)):
        # Unchecked, for torchmetrics refuses a single genre, though it computes the same figures of it.
        figures[f"{name}_macro"] = rate(probs, label, label.shape[1], average="macro", validate_args=False)
        figures[f"{name}_micro"] = rate(scores.probs, scores.label, len(present), average="micro", validate_args=False)
    return figures


def _score_single(scores: TrackScores, classes: list[str]) -> dict[str, Tensor]:
    probs, label, n_classes = scores.probs, scores.label, len(classes)
    f1 = multiclass_f1_score(probs, label, n_classes, average="none")
    has_tracks = label.bincount(minlength=n_classes) > 0
    return {
        "accuracy": multiclass_accuracy(probs, label, n_classes, average="micro"),
        "f1_macro": f1[has_tracks].mean(),
        **{f"f1/{name}": value for name, value in zip(classes, f1.where(has_tracks, torch.nan), strict=True)},
    }
