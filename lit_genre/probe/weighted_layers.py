"""Logistic regression on the weighted average of layers, whose weights are trained with it."""

from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.console import progress
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import (
    DEFAULT_REGULARIZATION,
    REGULARIZATIONS,
    FittedHead,
    check_genres,
    logistic_weights,
    rate,
)

_STEPS: Final = 100
"""Steps of L-BFGS for each regularization; more hardly change the probabilities."""


class WeightedLayers:
    """Logistic regression on a weighted average of layers, with the attributes of scikit-learn's classifiers.

    Args:
        layer_logits: Logits of the weights of the layers, shape (l,).
        coef: Weights, shape (c, d).
        intercept: Biases, shape (c,).
        classes: Labels of the rows, shape (c,).
        multilabel: Whether a track may have several genres.
    """

    def __init__(self, layer_logits: Tensor, coef: Tensor, intercept: Tensor, classes: Any, multilabel: bool) -> None:
        self.layer_logits, self.multilabel = layer_logits.detach().clone(), multilabel
        self.coef_, self.intercept_ = coef.detach().double().numpy().copy(), intercept.detach().double().numpy().copy()
        self.classes_ = classes

    def average(self, embedding: NDArray[np.floating]) -> NDArray[np.float32]:
        """Average the layers.

        Args:
            embedding: Embeddings of all layers, joined, shape (n, l d).

        Returns:
            Weighted averages, shape (n, d).
        """
        layers = embedding.reshape(len(embedding), len(self.layer_logits), -1)
        weights = self.layer_logits.softmax(0).numpy()
        averaged: NDArray[np.float32] = np.einsum("l,nld->nd", weights, layers.astype(np.float32))
        return averaged

    def predict_proba(self, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute the probability of each genre.

        Args:
            embedding: Scaled averages, shape (n, d).

        Returns:
            Probabilities, 0 to 1, shape (n, c).
        """
        logits = torch.from_numpy(embedding @ self.coef_.T + self.intercept_)
        probs: NDArray[np.float64] = (logits.sigmoid() if self.multilabel else logits.softmax(-1)).numpy()
        return probs


def fit_weighted_layers(train: ClipEmbeddings, val: ClipEmbeddings | None, n_layers: int) -> FittedHead:
    """Train weights of layers and a logistic regression together, and select the regularization.

    The loss is that of scikit-learn's LogisticRegression, so C means the same; the weights of the layers are not
    regularised. The scaling is that of the plain average.

    Args:
        train: Clips of the training tracks, with the embeddings of all layers joined, shape (n, l d).
        val: Clips of the validation tracks; None if there are none, and C is then fixed.
        n_layers: Number of layers l.

    Returns:
        The head with the best score of the validation tracks; its classifier is a `WeightedLayers`.

    Raises:
        LitGenreError: All training tracks have the same genres.

    Reference:
        S. Yang et al., "SUPERB: Speech Processing Universal PERformance Benchmark", Interspeech 2021.
    """
    from sklearn.preprocessing import StandardScaler

    check_genres(train.label)
    multilabel = train.label.ndim == 2
    layers = torch.from_numpy(train.embedding).float().reshape(len(train.embedding), n_layers, -1)
    scaler = StandardScaler().fit(layers.mean(1).numpy())
    # The weights of the layers sum to 1, so that scaling each layer scales the average.
    layers = (layers - torch.from_numpy(scaler.mean_).float()) / torch.from_numpy(scaler.scale_).float()
    classes = np.arange(train.label.shape[1]) if multilabel else np.unique(train.label)
    target = torch.from_numpy(train.label if multilabel else np.searchsorted(classes, train.label))
    weight = torch.from_numpy(logistic_weights(train, val)).float()
    presence = None if train.class_weights is None else torch.from_numpy(train.class_weights).float()
    logits = torch.zeros(n_layers, requires_grad=True)
    coef = torch.zeros(len(classes), layers.shape[-1], requires_grad=True)
    intercept = torch.zeros(len(classes), requires_grad=True)
    regularizations = REGULARIZATIONS["logistic"] if val else (DEFAULT_REGULARIZATION["logistic"],)
    heads = []
    with progress("Training", len(regularizations), "heads") as advance:
        # Each C starts where the one before ended, which takes fewer steps.
        for regularization in regularizations:
            _minimize(layers, target, regularization * weight, presence, logits, coef, intercept)
            classifier = WeightedLayers(logits, coef, intercept, classes, multilabel)
            held_out = val and val._replace(embedding=scaler.transform(classifier.average(val.embedding)))
            heads.append(FittedHead(scaler, classifier, regularization, rate(classifier, held_out)))
            advance()
    return max(heads, key=lambda head: head.val_score)


def _minimize(
    layers: Tensor,
    target: Tensor,
    weight: Tensor,
    presence: Tensor | None,
    logits: Tensor,
    coef: Tensor,
    intercept: Tensor,
) -> None:
    """Minimise the weighted cross-entropy, summed over clips, plus half the squares of coef.

    In the multilabel task, `presence` weights the presence of each genre.
    """
    optimizer = torch.optim.LBFGS([logits, coef, intercept], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        output = F.linear(torch.einsum("l,nld->nd", logits.softmax(0), layers), coef, intercept)
        if target.ndim == 2:
            losses = F.binary_cross_entropy_with_logits(output, target.float(), reduction="none", pos_weight=presence)
            losses = losses.sum(1)
        else:
            losses = F.cross_entropy(output, target, reduction="none")
        loss: Tensor = (losses * weight).sum() + coef.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
