"""Losses of a batch, from logits and targets."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.batch import Task
from lit_genre.errors import LitGenreError, check_at_least

MAX_POS_WEIGHT: Final = 100.0
"""Largest weight of the presence of a genre in the multilabel task.

The ratio of the counts has no bound. On FMA it can reach 30,000, and one track of a rare genre would outweigh the rest
of its batch.
"""


class Loss(nn.Module, ABC):
    """A loss of a batch, with labels that may be smoothed and classes that may be weighted.

    A subclass defines `forward` and smooths its targets by `smoothed`. It has no parameters and no persistent buffers:
    a checkpoint does not store the loss.

    Args:
        task: "multiclass" for one genre a track, by softmax; "multilabel" for several, each by a sigmoid.
        label_smoothing: Part of each target, 0 to 1, that is distributed equally over all genres in training.

    Attributes:
        tasks: Tasks that the class can be used for; a subclass may restrict them.

    Shape:
        - logits: (b, c)
        - target: (b, c), probabilities; rows sum to 1 where a track has one genre
        - class_weights: (c,)
        - Output: scalar

    Raises:
        LitGenreError: The class does not support the task.
    """

    tasks: ClassVar[tuple[Task, ...]] = get_args(Task)

    def __init__(self, task: Task, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if task not in self.tasks:
            raise LitGenreError(
                f"The loss {type(self).__name__} supports the task {' or '.join(self.tasks)}, but the data has the "
                f"task {task}: choose another --model.loss, or leave it out."
            )
        self.task: Task = task
        self.label_smoothing = label_smoothing

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: Output of the network, float32, shape (b, c).
            target: Probability of each class, float32, shape (b, c). It is soft after Mixup.
            class_weights: Weight of each class, shape (c,), or None. For the task "multilabel" it multiplies the loss
                of a class that is present, and leaves the loss of an absent one alone.

        Returns:
            A scalar.
        """

    def smoothed(self, target: Tensor) -> Tensor:
        """Smooth targets in training; return them unchanged in evaluation.

        Args:
            target: Probability of each class, shape (b, c).

        Returns:
            Targets, shape (b, c).
        """
        if not (self.training and self.label_smoothing):
            return target
        return target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[1]


class CrossEntropy(Loss):
    """Cross-entropy of a softmax, the default of the multiclass task.

    With both class weights and label smoothing, the targets are smoothed first. Each clip is then weighted by the
    weight of its genre; after Mixup, by the expected weight under its target before smoothing. torch multiplies each
    part of a smoothed target by the weight of its class, so that the best prediction for a clip of a frequent genre
    would be a rare genre. Without smoothing the loss is torch's: each part of a mixed target has the weight of its
    class.

    Args:
        task: "multiclass".
        label_smoothing: Part of each target, 0 to 1, that is distributed equally over all genres in training.

    Reference:
        C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, for label smoothing.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("multiclass",)

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch, a scalar; shapes (b, c), (b, c), (c,)."""
        smoothing = self.label_smoothing if self.training else 0.0
        if class_weights is None or not smoothing:
            return F.cross_entropy(logits, target, weight=class_weights, label_smoothing=smoothing)
        each = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
        return (each * (target @ class_weights)).mean()


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy of a sigmoid for each genre, the default of the multilabel task, without label smoothing.

    Args:
        task: "multilabel".
        label_smoothing: Ignored.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("multilabel",)

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch, a scalar; shapes (b, c), (b, c), (c,)."""
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=class_weights)


class FocalLoss(Loss):
    """Cross-entropy with lower weights for clips that are predicted well.

    The cross-entropy of a class of probability p is multiplied by (1 - p) to the power gamma. In the multiclass
    task p is the probability of a softmax, and a clip has the expected class weight under its target. In the multilabel
    task p is the probability of a sigmoid, 1 - p for an absent genre; the class weight applies to presence only, and
    labels are not smoothed.

    Args:
        task: "multiclass" or "multilabel".
        label_smoothing: Part of each target, 0 to 1, that is distributed equally over all genres in training. For the
            multiclass task.
        gamma: The power, 0 or more; 0 gives the cross-entropy.

    Raises:
        LitGenreError: gamma is below 0.

    Reference:
        T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    def __init__(self, task: Task, label_smoothing: float = 0.0, gamma: float = 2.0) -> None:
        super().__init__(task, label_smoothing)
        check_at_least(gamma=(gamma, 0))
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Return the mean loss of a batch, a scalar; shapes (b, c), (b, c), (c,)."""
        if self.task == "multilabel":
            present = target * self._focused(F.logsigmoid(logits))
            absent = (1 - target) * self._focused(F.logsigmoid(-logits))
            return (absent + (present if class_weights is None else present * class_weights)).mean()
        each = (self.smoothed(target) * self._focused(logits.log_softmax(-1))).sum(-1)
        return (each if class_weights is None else each * (target @ class_weights)).mean()

    def _focused(self, log_prob: Tensor) -> Tensor:
        """Return the loss of each class, from the logarithm of its probability."""
        # At a probability of 1 the power has an infinite slope for gamma below 1, and its gradient would be NaN.
        miss = -torch.expm1(log_prob)
        return -(miss.clamp_min(torch.finfo(miss.dtype).tiny) ** self.gamma) * log_prob


DEFAULT_LOSS: Final[dict[Task, type[Loss]]] = {"multiclass": CrossEntropy, "multilabel": BinaryCrossEntropy}
"""Default loss of each task."""


def class_weights_of(counts: list[int] | None, task: Task) -> Tensor:
    """Compute the weight of each class from its training tracks.

    Args:
        counts: Training tracks of each class.
        task: In "multiclass", every genre has the same total weight, and the mean weight of the training tracks is 1.
            In "multilabel", the tracks of each genre have the total weight of those of the most frequent genre, with
            a weight of at most MAX_POS_WEIGHT.

    Returns:
        Weights, float32, shape (c,).

    Raises:
        LitGenreError: counts is None.
    """
    if counts is None:
        raise LitGenreError("class_weights needs class_counts, the training tracks of each class.")
    tracks = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    if task == "multilabel":
        return (tracks.max() / tracks).clamp(max=MAX_POS_WEIGHT)
    return tracks.sum() / (len(counts) * tracks)
