"""Train the head of a probe on the embeddings of clips, and select it on the validation tracks."""

import copy
import warnings
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import TrackAverage, TrackScores, average_precision_of
from lit_genre.parallel import map_threads
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.one_vs_rest import MAX_ITER, fit_one_vs_rest

TrainedKind = Literal["logistic", "mlp"]
"""Kinds of heads that have weights."""

REGULARIZATIONS: Final[dict[TrainedKind, tuple[float, ...]]] = {
    "logistic": (0.001, 0.01, 0.1, 1.0, 10.0),
    "mlp": (0.01, 0.1, 1.0, 10.0),
}
"""Values to select from: C of the logistic regression (less regularises more), alpha of the MLP (more does)."""

DEFAULT_REGULARIZATION: Final[dict[TrainedKind, float]] = {"logistic": 0.01, "mlp": 1.0}
"""Regularization without a validation split; C then applies to the sum over tracks, not over clips."""

_EPOCHS: Final = 60
"""Epochs of the MLP; the one with the best score of the validation tracks is kept."""

_DEFAULT_EPOCHS: Final = 20
"""Epochs of the MLP without a validation split."""


class FittedHead(NamedTuple):
    """A trained head.

    Attributes:
        scaler: StandardScaler of the embeddings.
        classifier: LogisticRegression, OneVsRest or MLPClassifier on the scaled embeddings.
        setting: C of the logistic regression, or alpha of the MLP.
        val_score: Score of the validation tracks by which it was selected; 0 without a validation split.
    """

    scaler: Any
    classifier: Any
    setting: float
    val_score: float


def fit_head(
    train: ClipEmbeddings, val: ClipEmbeddings | None, kind: TrainedKind, head_dim: int, seed: int
) -> FittedHead:
    """Train heads of several regularizations, and keep the one with the best score of the validation tracks.

    In the multiclass task the score is the log-likelihood. It is finer than the accuracy of a few dozen tracks, and it
    also rates the calibration of the probabilities. In the multilabel task the score is the mean average precision. Of
    an MLP, the epoch with the best score is kept. All tracks have the same weight, however many clips they have, so
    genres of long tracks do not become more probable. Class weights, if there are any, multiply these weights.

    Without a validation split, regularization and number of epochs are fixed. C of the logistic regression then applies
    to the sum of the losses of tracks, so that it does not depend on the number of clips per track. With that split,
    C is selected, and applies to the sum over clips.

    Args:
        train: Clips of the training tracks.
        val: Clips of the validation tracks; None if there are none.
        kind: "logistic" for logistic regression, "mlp" for one hidden layer.
        head_dim: Size of the hidden layer.
        seed: Seed of the initial weights and of the order of the clips of an MLP.

    Returns:
        The selected head.

    Raises:
        LitGenreError: All training tracks have the same genres, or an MLP of the multilabel task has class weights.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    check_genres(train.label)
    if kind == "mlp" and train.label.ndim == 2 and train.class_weights is not None:
        # They weight the presence of a genre, but scikit-learn's MLP has one weight for all genres of a clip.
        raise LitGenreError("model.class_weights is not for --head mlp in the multilabel task. Use --head logistic.")
    scaler = StandardScaler().fit(train.embedding)
    scaled = train._replace(embedding=scaler.transform(train.embedding))
    held_out = val and val._replace(embedding=scaler.transform(val.embedding))

    def fit(regularization: float) -> tuple[Any, float]:
        if kind == "logistic":
            return _fit_logistic(regularization, scaled, held_out)
        return _fit_mlp(regularization, head_dim, scaled, held_out, seed)

    regularizations = REGULARIZATIONS[kind] if val else (DEFAULT_REGULARIZATION[kind],)
    with warnings.catch_warnings():
        # A head with little regularisation converges slowly, and more steps hardly change its probabilities.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if kind == "logistic" and train.label.ndim == 2:
            classifiers = fit_one_vs_rest(regularizations, scaled, logistic_weights(scaled, val))
            heads = [(classifier, rate(classifier, held_out)) for classifier in classifiers]
        else:
            heads = map_threads(fit, regularizations, "Training", "heads")
    best = int(np.argmax([score for _, score in heads]))
    return FittedHead(scaler, heads[best][0], regularizations[best], heads[best][1])


def check_genres(label: NDArray[np.int64]) -> None:
    """Raise an error if all training tracks have the same genres.

    Args:
        label: Labels of the clips, shape (n,) or (n, c).

    Raises:
        LitGenreError: All labels are equal.
    """
    if (label == label[0]).all():
        raise LitGenreError(
            "All training tracks have the same genre, but a head needs at least two genres. Check the splits."
        )


def track_weights(clips: ClipEmbeddings) -> NDArray[np.float64]:
    """Return weights of clips so that all tracks have the same weight, or that of their class.

    Args:
        clips: Clips of t tracks. In the multilabel task their class weights are not part of the result, since they
            weight the presence of a genre alone.

    Returns:
        Weight of each clip, shape (n,), with mean 1 over the clips.
    """
    _, track, count = np.unique(clips.track_id, return_inverse=True, return_counts=True)
    weight: NDArray[np.float64] = len(track) / (len(count) * count[track])
    if clips.class_weights is not None and clips.label.ndim == 1:
        weight *= clips.class_weights[clips.label]
    return weight


def track_scores(probs: Tensor, clips: ClipEmbeddings) -> TrackScores:
    """Return the mean probabilities of the clips of each track.

    Args:
        probs: Probabilities of the clips, 0 to 1, shape (n, c).
        clips: The clips.

    Returns:
        Probabilities and label of each track.
    """
    average = TrackAverage()
    average.update(torch.from_numpy(clips.track_id), probs, torch.from_numpy(clips.label))
    return average.scores()


def primary_score(scores: TrackScores) -> float:
    """Return the accuracy, or the mean average precision in the multilabel task.

    Args:
        scores: Probabilities and labels of the validation tracks.

    Returns:
        The score, 0 to 1; 0 in the multilabel task if each genre has all tracks or none.
    """
    if scores.several:
        # In float32, as average_precision_of is for the float32 probabilities of a network.
        in_float32 = scores._replace(probs=scores.probs.float())
        return float(average_precision_of(in_float32).nanmean().nan_to_num())
    return float((scores.probs.argmax(1) == scores.label).float().mean())


def _fit_logistic(regularization: float, train: ClipEmbeddings, val: ClipEmbeddings | None) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=regularization, max_iter=MAX_ITER)
    classifier.fit(train.embedding, train.label, sample_weight=logistic_weights(train, val))
    return classifier, rate(classifier, val)


def logistic_weights(train: ClipEmbeddings, val: ClipEmbeddings | None) -> NDArray[np.float64]:
    """Return weights of clips for a loss that is summed over clips.

    Args:
        train: Clips of t training tracks.
        val: Clips of the validation tracks; None if there are none.

    Returns:
        Weight of each clip, shape (n,), with the sum n; without a validation split with the sum t.
    """
    weight = track_weights(train)
    if val is None:
        # The weights of a track's clips then sum to 1. Scikit-learn's C applies to the sum of the losses, not the mean.
        weight *= len(np.unique(train.track_id)) / len(weight)
    return weight


def _fit_mlp(
    regularization: float, head_dim: int, train: ClipEmbeddings, val: ClipEmbeddings | None, seed: int
) -> tuple[Any, float]:
    from sklearn.neural_network import MLPClassifier

    # A generator, not a number: with a number, each call of partial_fit would use the same order of the clips.
    random = np.random.RandomState(seed)
    classifier = MLPClassifier((head_dim,), alpha=regularization, random_state=random)
    best, best_score = classifier, -np.inf
    weight = track_weights(train)
    classes = np.arange(train.label.shape[1]) if train.label.ndim == 2 else np.unique(train.label)
    for _ in range(_EPOCHS if val else _DEFAULT_EPOCHS):
        classifier.partial_fit(train.embedding, train.label, classes=classes, sample_weight=weight)
        if (score := rate(classifier, val)) > best_score or not val:
            best, best_score = copy.deepcopy(classifier) if val else classifier, score
    return best, best_score


def rate(classifier: Any, clips: ClipEmbeddings | None) -> float:
    """Return the score by which heads are selected.

    Args:
        classifier: Classifier of scikit-learn's kind.
        clips: Clips of the validation tracks, scaled as the classifier takes them.

    Returns:
        Mean log-probability of the genre of each track, or the mean average precision; 0 without clips.
    """
    if clips is None:
        return 0.0
    scores = track_scores(torch.from_numpy(classifier.predict_proba(clips.embedding)), clips)
    if scores.several:
        return primary_score(scores)
    columns = {label: column for column, label in enumerate(classifier.classes_.tolist())}
    # A genre without training tracks has no column.
    label_probs = [
        probs[columns[label]] if label in columns else 0.0
        for probs, label in zip(scores.probs.tolist(), scores.label.tolist(), strict=True)
    ]
    return float(np.log(np.clip(label_probs, 1e-9, 1)).mean())
