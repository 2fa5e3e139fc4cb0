"""The head of a probe: trained by scikit-learn on the embeddings of clips, chosen by the log-likelihood of tracks."""

import copy
import warnings
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.errors import LitGenreError
from lit_genre.model.metrics import TrackAverage, TrackScores
from lit_genre.parallel import map_threads
from lit_genre.probe.embeddings import Clips

Kind = Literal["linear", "mlp"]

STRENGTHS: Final[dict[Kind, tuple[float, ...]]] = {
    "linear": (0.001, 0.01, 0.1, 1.0, 10.0),
    "mlp": (0.01, 0.1, 1.0, 10.0),
}
"""C of the logistic regression, where less is more regularised; alpha of the MLP, where more is."""

_UNCHOSEN: Final[dict[Kind, float]] = {"linear": 0.01, "mlp": 1.0}
"""Without a validation split; C is then of tracks, not of clips."""

_EPOCHS: Final = 60
"""Of the MLP; behind each the validation split says whether it was the best so far."""

_UNCHOSEN_EPOCHS: Final = 20


class Fitted(NamedTuple):
    """A trained head.

    Attributes:
        scaler: StandardScaler of the embeddings.
        classifier: LogisticRegression or MLPClassifier behind it.
        regularization: Its regularisation, one of STRENGTHS.
    """

    scaler: Any
    classifier: Any
    regularization: float


def fit_head(kind: Kind, head_dim: int, train: Clips, val: Clips | None, seed: int) -> Fitted:
    """Train heads of several regularizations, and keep the one with the greatest likelihood of the validation tracks.

    Their accuracy, of a few dozen tracks, would say less, and nothing of whether the probabilities can be believed. An
    MLP is kept as it was behind the epoch that did best there. A track counts as one, however many clips it has: genres
    of long tracks are not the likelier ones.

    Without that split regularization and epochs are fixed. The C of the logistic regression then applies to the sum of
    the losses of tracks, so that it regularises alike however many clips a track is cut into. With the split, where C
    is selected, it applies to the sum over clips.

    Raises:
        LitGenreError: The training tracks have one genre only.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train.label)) < 2:
        raise LitGenreError("All training tracks have the same genre, but a head needs two at least.")
    scaler = StandardScaler().fit(train.embedding)
    scaled = train._replace(embedding=scaler.transform(train.embedding))
    held_out = val and val._replace(embedding=scaler.transform(val.embedding))

    def trained(regularization: float) -> tuple[Any, float]:
        if kind == "linear":
            return _fit_linear(regularization, scaled, held_out)
        return _fit_mlp(regularization, head_dim, scaled, held_out, seed)

    regularizations = STRENGTHS[kind] if val else (_UNCHOSEN[kind],)
    with warnings.catch_warnings():
        # The last digits of a hardly regularised one are not worth more steps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        heads = map_threads(trained, regularizations, "Training", "heads")
    best = int(np.argmax([likelihood for _, likelihood in heads]))
    return Fitted(scaler, heads[best][0], regularizations[best])


def track_weights(clips: Clips) -> NDArray[np.float64]:
    """Weigh clips so that each track weighs the same, shape (n,), 1 on the mean."""
    _, place, count = np.unique(clips.track_id, return_inverse=True, return_counts=True)
    weight: NDArray[np.float64] = len(place) / (len(count) * count[place])
    return weight


def track_scores(probs: Tensor, clips: Clips) -> TrackScores:
    """Average the probabilities of clips, shape (n, c), over each track."""
    average = TrackAverage()
    average.update(torch.from_numpy(clips.track_id), probs, torch.from_numpy(clips.label))
    return average.scores()


def _fit_linear(regularization: float, train: Clips, val: Clips | None) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression

    weight = track_weights(train)
    if val is None:
        # To a sum of one a track: scikit-learn weighs the sum of the losses, not their mean, against the penalty.
        weight *= len(np.unique(train.track_id)) / len(weight)
    classifier = LogisticRegression(C=regularization, max_iter=300)
    classifier.fit(train.embedding, train.label, sample_weight=weight)
    return classifier, _likelihood(classifier, val)


def _fit_mlp(regularization: float, head_dim: int, train: Clips, val: Clips | None, seed: int) -> tuple[Any, float]:
    from sklearn.neural_network import MLPClassifier

    # Not a number, which would give each epoch the same order.
    random = np.random.RandomState(seed)
    classifier = MLPClassifier((head_dim,), alpha=regularization, random_state=random)
    best, likelihood = classifier, -np.inf
    weight, classes = track_weights(train), np.unique(train.label)
    for _ in range(_EPOCHS if val else _UNCHOSEN_EPOCHS):
        classifier.partial_fit(train.embedding, train.label, classes=classes, sample_weight=weight)
        if (now := _likelihood(classifier, val)) > likelihood or not val:
            best, likelihood = copy.deepcopy(classifier) if val else classifier, now
    return best, likelihood


def _likelihood(classifier: Any, clips: Clips | None) -> float:
    """Rate on tracks, by the mean logarithm of what each one's genre was given; 0 where there are none."""
    if clips is None:
        return 0.0
    scores = track_scores(torch.from_numpy(classifier.predict_proba(clips.embedding)), clips)
    place = {label: column for column, label in enumerate(classifier.classes_.tolist())}
    # A genre that no training track has is given nothing.
    given = [
        probs[place[label]] if label in place else 0.0
        for probs, label in zip(scores.probs.tolist(), scores.label.tolist(), strict=True)
    ]
    return float(np.log(np.clip(given, 1e-9, 1)).mean())
