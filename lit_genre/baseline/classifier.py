"""The classifier of the baseline: trained on the training split, chosen and calibrated on the validation split."""

import math
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.baseline.features import Features
from lit_genre.errors import LitGenreError
from lit_genre.parallel import map_threads

Kind = Literal["svm", "logistic"]

_NAMES: Final[dict[Kind, str]] = {"svm": "SVM", "logistic": "logistic"}

_STRENGTHS: Final[dict[Kind, tuple[float, ...]]] = {
    "svm": (0.5, 1.0, 2.0, 4.0, 8.0),
    "logistic": (0.001, 0.003, 0.01, 0.03, 0.1),
}
_UNCHOSEN: Final[dict[Kind, float]] = {"svm": 2.0, "logistic": 0.01}

_TEMPERATURES: Final = (0.001, 1000.0)


class Rows(NamedTuple):
    """Tracks as rows of numbers.

    Attributes:
        features: Shape (t, d).
        label: Position of each track's genre in the class names, shape (t,).
        track_id: Shape (t,).
    """

    features: NDArray[np.float32]
    label: NDArray[np.int64]
    track_id: NDArray[np.int64]


class FittedClassifier(NamedTuple):
    """A trained classifier.

    Attributes:
        model: Of scikit-learn.
        regularization: Its C: the less, the more it is regularised.
        temperature: What its decision values are divided by in front of a softmax.
    """

    model: Any
    regularization: float
    temperature: float


def baseline_name(features: Features, kind: Kind, class_weights: bool) -> str:
    """Name a baseline for reports, which take runs of one name for seeds of one model.

    >>> baseline_name("mfcc", "svm", class_weights=False), baseline_name("mfcc+spectral", "svm", class_weights=True)
    ('MFCC+SVM', 'MFCC+spectral+SVM, class weights')
    """
    name = f"{features.replace('mfcc', 'MFCC')}+{_NAMES[kind]}"
    return f"{name}, class weights" if class_weights else name


def choose(kind: Kind, train: Rows, val: Rows | None, class_weights: bool = False) -> FittedClassifier:
    """Train with several C, and keep what does best on the validation split.

    A temperature makes probabilities of decision values, and leaves the most probable genre what it is; it is found on
    the validation split. Without that split C is fixed, and the temperature found on the training split promises too
    much.

    Args:
        kind: The classifier.
        train: Rows of the training tracks.
        val: Rows of the validation tracks.
        class_weights: Weigh the training tracks so that each genre counts alike, however many it has. C is still chosen
            by accuracy, of which each track is an equal part.

    Raises:
        LitGenreError: The training tracks have one genre only.
    """
    if len(np.unique(train.label)) < 2:
        raise LitGenreError("All training tracks have the same genre, but a classifier needs two at least.")

    def trained(regularization: float) -> Any:
        return _pipeline(kind, regularization, class_weights).fit(train.features, train.label)

    regularizations = _STRENGTHS[kind] if val else (_UNCHOSEN[kind],)
    models = map_threads(trained, regularizations, "Training", "classifiers")
    held_out = val or train
    best = int(np.argmax([model.score(held_out.features, held_out.label) for model in models]))
    return FittedClassifier(models[best], regularizations[best], _temperature(models[best], held_out))


def probabilities(chosen: FittedClassifier, features: NDArray[np.float32], n_classes: int) -> Tensor:
    """Give the probability of each class, 0 of those that training has not heard of; shapes (t, d), (t, c)."""
    probs = torch.zeros(len(features), n_classes)
    probs[:, chosen.model.classes_] = (_decide(chosen.model, features) / chosen.temperature).softmax(1).float()
    return probs


def _pipeline(kind: Kind, regularization: float, class_weights: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    weight = "balanced" if class_weights else None
    if kind == "svm":
        return make_pipeline(StandardScaler(), SVC(C=regularization, break_ties=True, class_weight=weight))
    return make_pipeline(StandardScaler(), LogisticRegression(C=regularization, max_iter=2000, class_weight=weight))


def _decide(model: Any, features: NDArray[np.float32]) -> Tensor:
    """Give the decision values of the classes that training has heard of, shape (t, k)."""
    values = torch.from_numpy(model.decision_function(features))
    return values if values.ndim == 2 else torch.stack([-values, values], dim=1)


def _temperature(model: Any, rows: Rows) -> float:
    from scipy.optimize import minimize_scalar

    # What training has not heard of has no probability to calibrate.
    known = np.isin(rows.label, model.classes_)
    values = _decide(model, rows.features[known])
    label = torch.from_numpy(np.searchsorted(model.classes_, rows.label[known]))

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(values / math.exp(log_temperature), label))

    low, high = map(math.log, _TEMPERATURES)
    return math.exp(minimize_scalar(loss, bounds=(low, high)).x)
