"""Average the probabilities of clips over tracks, and compute the scores of the tracks."""

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
from lit_genre.model.checks.finite import check_finite

PRIMARY_METRIC: Final[dict[Task, str]] = {"multiclass": "accuracy", "multilabel": "average_precision_macro"}
"""Metric that selects an epoch, for each task."""

BINS: Final = 10
"""Number of bins of the reliability diagram and of the calibration error."""

_DRAWS: Final = 200
"""Simulated sets of tracks: the mean of their errors is then exact to about a hundredth of its value."""

_LISTED: Final = 3
"""Track ids that an error names."""


class TrackScores(NamedTuple):
    """Probabilities and labels of tracks, a row for each track, in the order of track_id.

    Attributes:
        track_id: Id of the track, int64, shape (t,).
        probs: Probability of each class, the mean over the track's clips, float32, shape (t, c).
        label: True class, int64, shape (t,); in the multilabel task 0 or 1 for each class, shape (t, c).
    """

    track_id: Tensor
    probs: Tensor
    label: Tensor

    @property
    def several(self) -> bool:
        """Whether the task is multilabel."""
        return self.label.ndim == 2


class TrackAverage(Metric):
    """Collects the probabilities of clips and averages them over each track."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in TrackScores._fields:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, track_id: Tensor, probs: Tensor, label: Tensor) -> None:
        """Add a batch of clips.

        Args:
            track_id: Id of the track of each clip, shape (b,).
            probs: Probabilities, shape (b, c).
            label: Labels, shape (b,), or (b, c) in the multilabel task.
        """
        for name, value in zip(TrackScores._fields, (track_id, probs, label), strict=True):
            getattr(self, name).append(value)

    def scores(self) -> TrackScores:
        """Average over the clips of each track, of all processes.

        Returns:
            The scores, on the CPU.

        Raises:
            LitGenreError: A probability is not finite.
        """
        track_id, probs, label = self.compute()
        _check_probs(track_id.reshape(-1), probs)
        # torchmetrics squeezes a tensor with one element to a scalar: the column of a single track.
        return TrackScores(track_id.reshape(-1), probs, label.reshape(len(probs), *label.shape[1:]))

    def clips(self) -> TrackScores:
        """Return the clips so far, a row for each."""
        track_id, probs, label = (dim_zero_cat(getattr(self, name)) for name in TrackScores._fields)
        return TrackScores(track_id, probs, label)

    def compute(self) -> TrackScores:
        """Average the clips; torchmetrics gathers those of all processes before."""
        # On the CPU, which has all operations that scores need, in a fixed order, and is fast enough for thousands.
        track_id, probs, label = (column.cpu() for column in self.clips())
        tracks, row = torch.unique(track_id, return_inverse=True)
        total = probs.new_zeros(len(tracks), probs.shape[1]).index_add_(0, row, probs)
        label_of = label.new_zeros(len(tracks), *label.shape[1:])
        label_of[row] = label
        return TrackScores(tracks, total / row.bincount()[:, None], label_of)


def score(scores: TrackScores, classes: list[str]) -> dict[str, Tensor]:
    """Compute the scores of tracks, each 0 to 1.

    In the multiclass task: `accuracy`, the F1 of each class, `f1/<class>`, and `f1_macro`, their mean. The F1 of a
    genre without a track is NaN and is left out of the mean.

    In the multilabel task: average precision and area under the ROC curve, as a mean over genres
    (`average_precision_macro`, `roc_auc_macro`) and over all pairs of track and genre (`average_precision_micro`,
    `roc_auc_micro`). Genres of no track, or of all tracks, have neither and are left out of the means over genres.

    Args:
        scores: Probabilities and labels of at least one track.
        classes: Class names in the order of the labels.

    Returns:
        Scores, scalars, by name.

    Raises:
        LitGenreError: A probability is not finite.
    """
    _check_probs(scores.track_id, scores.probs)
    return _score_multi(scores) if scores.several else _score_single(scores, classes)


def calibration_error(scores: TrackScores, classes: list[str]) -> float:
    """Compute the expected calibration error: the mean difference of probability and accuracy over the bins.

    Args:
        scores: Probabilities and labels of a multiclass task.
        classes: Class names.

    Returns:
        The error, 0 to 1.

    Reference:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    return float(multiclass_calibration_error(scores.probs, scores.label, len(classes), n_bins=BINS, norm="l1"))


def calibration_error_of(confidence: Tensor, right: Tensor) -> float:
    """Compute the expected calibration error from the probabilities of the predicted classes.

    Args:
        confidence: Probability of the predicted class of each track, 0 to 1, shape (t,).
        right: Whether the prediction is right, bool, shape (t,).

    Returns:
        The error, 0 to 1, as `calibration_error` returns it.
    """
    return float(_calibration_errors(confidence.float(), right[None])[0])


def calibration_error_by_chance(scores: TrackScores) -> float:
    """Compute the mean expected calibration error that perfectly calibrated probabilities have on this many tracks.

    In a bin with few tracks, the accuracy differs from the probability by chance.

    Args:
        scores: Probabilities of a multiclass task.

    Returns:
        The error, 0 to 1, by a simulation with a fixed seed.
    """
    confidence = scores.probs.amax(1).float()
    right = torch.rand((_DRAWS, len(confidence)), generator=torch.Generator().manual_seed(0)) < confidence
    return float(_calibration_errors(confidence, right).mean())


def _calibration_errors(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the calibration error, shape (n,), for n sets of outcomes `right`, bool, shape (n, t)."""
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    off = torch.zeros(len(right), BINS).index_add_(1, bins, right.float() - confidence)
    return off.abs().sum(1) / len(confidence)


def genres_named(probs: Tensor, classes: Sequence[str], several: bool) -> str:
    """Return the name of the predicted genre.

    Args:
        probs: Probability of each class, shape (c,).
        classes: Class names.
        several: Whether the task is multilabel.

    Returns:
        The most probable genre; in the multilabel task all of at least 0.5, separated by "; ".
    """
    if several:
        return "; ".join(classes[index] for index in (probs >= 0.5).nonzero())
    return classes[int(probs.argmax())]


def average_precision_of(scores: TrackScores) -> Tensor:
    """Compute the average precision of each genre of the multilabel task.

    Args:
        scores: Probabilities and labels.

    Returns:
        Average precision, 0 to 1, shape (c,); NaN for a genre of no track or of all tracks.
    """
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
    # Checked, as argmax treats NaN as the largest number and would return a genre.
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
        # validate_args=False: torchmetrics refuses a single genre, although it computes the right figures.
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
