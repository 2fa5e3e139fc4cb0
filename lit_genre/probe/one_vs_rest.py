"""Logistic regression for the multilabel task: one for each genre, against all tracks without the genre."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lit_genre.parallel import map_threads
from lit_genre.probe.embeddings import ClipEmbeddings

CERTAIN_LOGIT: Final = 1e4
"""Logit of a genre that all training tracks have; with a minus, of one that none has. Finite in half precision."""

MAX_ITER: Final = 300
"""Steps of the optimiser of a logistic regression."""


class OneVsRest:
    """A logistic regression for each genre, with the attributes of scikit-learn's `LogisticRegression`.

    Args:
        coef: Weights, shape (c, d).
        intercept: Biases, shape (c,).
    """

    def __init__(self, coef: NDArray[np.float64], intercept: NDArray[np.float64]) -> None:
        self.coef_, self.intercept_ = coef, intercept
        self.classes_ = np.arange(len(intercept))

    def predict_proba(self, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute the probability of each genre.

        Args:
            embedding: Scaled embeddings, shape (n, d).

        Returns:
            Probabilities, 0 to 1, shape (n, c).
        """
        from scipy.special import expit

        probs: NDArray[np.float64] = expit(embedding @ self.coef_.T + self.intercept_)
        return probs


def fit_one_vs_rest(
    regularizations: Sequence[float], train: ClipEmbeddings, weight: NDArray[np.float64]
) -> list[OneVsRest]:
    """Train a logistic regression for each genre, with each of several regularizations.

    A genre that all training tracks have, or none, has a probability of 1 or 0.

    Args:
        regularizations: Values of C, the smallest first.
        train: Scaled embeddings of the training clips, with labels of shape (n, c). Class weights multiply the weights
            of the clips that have the genre.
        weight: Weight of each clip, shape (n,).

    Returns:
        The classifiers, one for each C.
    """
    from sklearn.linear_model import LogisticRegression

    dim, n_genres = train.embedding.shape[1], train.label.shape[1]

    def fit(genre: int) -> list[tuple[NDArray[np.float64], float]]:
        label = train.label[:, genre]
        if (label == label[0]).all():
            return [(np.zeros(dim), CERTAIN_LOGIT if label[0] else -CERTAIN_LOGIT)] * len(regularizations)
        # Each C starts where the one before ended, which takes fewer steps.
        classifier: Any = LogisticRegression(max_iter=MAX_ITER, warm_start=True)
        layers = []
        present = 1.0 if train.class_weights is None else train.class_weights[genre]
        genre_weight = weight * np.where(label, present, 1.0)
        for regularization in regularizations:
            classifier.set_params(C=regularization).fit(train.embedding, label, sample_weight=genre_weight)
            layers.append((classifier.coef_[0].copy(), float(classifier.intercept_[0])))
        return layers

    layers_by_genre = map_threads(fit, range(n_genres), "Training", "genres")
    return [OneVsRest(*map(np.array, zip(*layers, strict=True))) for layers in zip(*layers_by_genre, strict=True)]
