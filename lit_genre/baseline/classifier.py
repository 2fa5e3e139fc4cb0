"""Train the classifier of the baseline on the training split; select and calibrate it on the validation split."""

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.baseline import Kind
from lit_genre.errors import LitGenreError
from lit_genre.features import Features
from lit_genre.model.temperature import fit_temperature
from lit_genre.parallel import map_threads

_DISPLAY_NAMES: Final[dict[Kind, str]] = {"svm": "SVM", "logistic": "logistic"}

_REGULARIZATIONS: Final[dict[Kind, tuple[float, ...]]] = {
    "svm": (0.5, 1.0, 2.0, 4.0, 8.0),
    "logistic": (0.001, 0.003, 0.01, 0.03, 0.1),
}
"""Values of C to select from on the validation split; a smaller C regularises more."""

_DEFAULT_REGULARIZATION: Final[dict[Kind, float]] = {"svm": 2.0, "logistic": 0.01}
"""C without a validation split: the middle of the values to select from."""


class TrackFeatures(NamedTuple):
    """Features and labels of t tracks.

    Attributes:
        features: Shape (t, d).
        label: Position of each track's genre in the class names, shape (t,).
        track_id: Id of each track, shape (t,).
    """

    features: NDArray[np.float32]
    label: NDArray[np.int64]
    track_id: NDArray[np.int64]


class FittedClassifier(NamedTuple):
    """A trained and calibrated classifier.

    Attributes:
        model: Pipeline of scikit-learn.
        regularization: C of the classifier; a smaller C regularises more.
        temperature: Divisor of the decision values before the softmax.
    """

    model: Any
    regularization: float
    temperature: float


def baseline_name(features: Features, kind: Kind, class_weights: bool) -> str:
    """Return the name of a baseline for reports, which group runs by name as seeds of one model.

    >>> baseline_name("mfcc", "svm", class_weights=False), baseline_name("mfcc+spectral", "svm", class_weights=True)
    ('MFCC+SVM', 'MFCC+spectral+SVM, class weights')
    """
    name = f"{features.replace('mfcc', 'MFCC')}+{_DISPLAY_NAMES[kind]}"
    return f"{name}, class weights" if class_weights else name


def fit_classifier(
    kind: Kind, train: TrackFeatures, val: TrackFeatures | None, class_weights: bool = False
) -> FittedClassifier:
    """Train a classifier with several C, and select the one with the best validation accuracy.

    Temperature scaling on the validation split turns decision values into probabilities; it does not change the most
    probable genre. Without that split, C is fixed, and the temperature from the training split makes the probabilities
    overconfident.

    Args:
        kind: The classifier.
        train: The training tracks.
        val: The validation tracks; None if there are none.
        class_weights: Weight the training tracks so that all genres have the same total weight. C is still selected by
            accuracy, in which all tracks have the same weight.

    Returns:
        The selected classifier.

    Raises:
        LitGenreError: All training tracks have the same genre.

    Reference:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    if len(np.unique(train.label)) < 2:
        raise LitGenreError(
            "All training tracks have the same genre, but a classifier needs at least two genres. Check the splits."
        )

    def fit(regularization: float) -> Any:
        return _pipeline(kind, regularization, class_weights).fit(train.features, train.label)

    regularizations = _REGULARIZATIONS[kind] if val else (_DEFAULT_REGULARIZATION[kind],)
    models = map_threads(fit, regularizations, "Training", "classifiers")
    held_out = val or train
    best = int(np.argmax([model.score(held_out.features, held_out.label) for model in models]))
    return FittedClassifier(models[best], regularizations[best], _fit_temperature(models[best], held_out))


def probabilities(fitted: FittedClassifier, features: NDArray[np.float32], n_classes: int) -> Tensor:
    """Compute the probability of each class.

    Args:
        fitted: The classifier.
        features: Features of t tracks, shape (t, d).
        n_classes: Number of classes c.

    Returns:
        Probabilities, 0 to 1, shape (t, c), float32; 0 for a class without training tracks.
    """
    probs = torch.zeros(len(features), n_classes)
    probs[:, fitted.model.classes_] = (_decision_values(fitted.model, features) / fitted.temperature).softmax(1).float()
    return probs


def _pipeline(kind: Kind, regularization: float, class_weights: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    weight = "balanced" if class_weights else None
    if kind == "svm":
        # With break_ties, the predicted class is the one with the greatest decision value, which the softmax keeps.
        return make_pipeline(StandardScaler(), SVC(C=regularization, break_ties=True, class_weight=weight))
    return make_pipeline(StandardScaler(), LogisticRegression(C=regularization, max_iter=2000, class_weight=weight))


def _decision_values(model: Any, features: NDArray[np.float32]) -> Tensor:
    """Return the decision values of the k classes with training tracks, shape (t, k)."""
    values = torch.from_numpy(model.decision_function(features))
    # For two classes scikit-learn returns one column, the value of the second class.
    return values if values.ndim == 2 else torch.stack([-values, values], dim=1)


def _fit_temperature(model: Any, tracks: TrackFeatures) -> float:
    """Return the temperature with the least cross-entropy."""
    # A class without training tracks has no decision value to calibrate.
    known = np.isin(tracks.label, model.classes_)
    values = _decision_values(model, tracks.features[known])
    label = torch.from_numpy(np.searchsorted(model.classes_, tracks.label[known]))
    return fit_temperature(values, torch.arange(len(values)), label, "multiclass").value
