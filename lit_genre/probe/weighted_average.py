"""Logistic regression on an average of layers, or of segments of a clip, with weights that are trained."""

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


class WeightedAverage:
    """Logistic regression on a weighted average of l vectors, with the attributes of scikit-learn's classifiers.

    Args:
        parameter: Logits of the weights of the layers, shape (l,). Or, for attention, the query, shape (d,): the logit
            of the weight of a segment is its scalar product with the query.
        attention: Whether the parameter is a query.
        coef: Weights, shape (c, d).
        intercept: Biases, shape (c,).
        classes: Labels of the rows, shape (c,).
        multilabel: Whether a track may have several genres.
    """

    def __init__(
        self, parameter: Tensor, attention: bool, coef: Tensor, intercept: Tensor, classes: Any, multilabel: bool
    ) -> None:
        self.parameter, self.attention, self.multilabel = parameter.detach().clone(), attention, multilabel
        self.coef_, self.intercept_ = coef.detach().double().numpy().copy(), intercept.detach().double().numpy().copy()
        self.classes_ = classes

    def average(self, embedding: NDArray[np.floating]) -> NDArray[np.float32]:
        """Average the vectors of each clip.

        Args:
            embedding: The vectors of each clip, joined, shape (n, l d).

        Returns:
            Weighted averages, shape (n, d).
        """
        vectors = torch.from_numpy(embedding).float().reshape(len(embedding), -1, self.coef_.shape[1])
        averaged: NDArray[np.float32] = _average(vectors, self.parameter, self.attention).numpy()
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


def fit_weighted_average(
    train: ClipEmbeddings, val: ClipEmbeddings | None, dim: int, attention: bool = False
) -> FittedHead:
    """Train weights of an average and a logistic regression together, and select the regularization.

    The loss is that of scikit-learn's LogisticRegression, so C means the same. Logits of layers are not regularised; a
    query is, as the weights of the regression are. The scaling is that of the plain average over layers, or of all
    segments.

    Args:
        train: Clips of the training tracks, with the vectors of each clip joined, shape (n, l d).
        val: Clips of the validation tracks; None if there are none, and C is then fixed.
        dim: Size d of a vector.
        attention: Weight the vectors by a query, as segments of a clip; else each by a logit of its own, as layers.

    Returns:
        The head with the best score of the validation tracks; its classifier is a `WeightedAverage`.

    Raises:
        LitGenreError: All training tracks have the same genres.

    Reference:
        S. Yang et al., "SUPERB: Speech Processing Universal PERformance Benchmark", Interspeech 2021 (layers).
        P. Safari et al., "Self-Attention Encoding and Pooling for Speaker Recognition", Interspeech 2020 (a query).
    """
    from sklearn.preprocessing import StandardScaler

    check_genres(train.label)
    multilabel = train.label.ndim == 2
    vectors = torch.from_numpy(train.embedding).float().reshape(len(train.embedding), -1, dim)
    scaler = StandardScaler().fit((vectors.flatten(0, 1) if attention else vectors.mean(1)).numpy())
    # The weights sum to 1, so that scaling each vector scales the average.
    scale = torch.from_numpy(scaler.scale_).float()
    vectors = (vectors - torch.from_numpy(scaler.mean_).float()) / scale
    classes = np.arange(train.label.shape[1]) if multilabel else np.unique(train.label)
    target = torch.from_numpy(train.label if multilabel else np.searchsorted(classes, train.label))
    loss = _Loss(vectors, target, train, val, len(classes), attention)
    regularizations = REGULARIZATIONS["logistic"] if val else (DEFAULT_REGULARIZATION["logistic"],)
    heads = []
    with progress("Training", len(regularizations), "heads") as advance:
        # Each C starts where the one before ended, which takes fewer steps.
        for regularization in regularizations:
            loss.minimize(regularization)
            # The query of vectors that are not scaled.
            parameter = loss.parameter / scale if attention else loss.parameter
            classifier = WeightedAverage(parameter, attention, loss.coef, loss.intercept, classes, multilabel)
            held_out = val and val._replace(embedding=scaler.transform(classifier.average(val.embedding)))
            heads.append(FittedHead(scaler, classifier, regularization, rate(classifier, held_out)))
            advance()
    return max(heads, key=lambda head: head.val_score)


class _Loss:
    """The weighted cross-entropy, summed over clips, plus half the squares of the weights."""

    def __init__(
        self,
        vectors: Tensor,
        target: Tensor,
        train: ClipEmbeddings,
        val: ClipEmbeddings | None,
        n_classes: int,
        attention: bool,
    ) -> None:
        self.vectors, self.target, self.attention = vectors, target, attention
        self.weight = torch.from_numpy(logistic_weights(train, val)).float()
        # In the multilabel task, the weight of the presence of each genre.
        self.presence = None if train.class_weights is None else torch.from_numpy(train.class_weights).float()
        _, n_vectors, dim = vectors.shape
        self.parameter = torch.zeros(dim if attention else n_vectors, requires_grad=True)
        self.coef = torch.zeros(n_classes, dim, requires_grad=True)
        self.intercept = torch.zeros(n_classes, requires_grad=True)

    def minimize(self, regularization: float) -> None:
        """Minimise it, from where the last call ended."""
        optimizer = torch.optim.LBFGS(
            [self.parameter, self.coef, self.intercept], max_iter=_STEPS, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (self._losses() * regularization * self.weight).sum() + self.coef.square().sum() / 2
            if self.attention:
                loss = loss + self.parameter.square().sum() / 2
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]

    def _losses(self) -> Tensor:
        """Return the cross-entropy of each clip, shape (n,)."""
        output = F.linear(_average(self.vectors, self.parameter, self.attention), self.coef, self.intercept)
        if self.target.ndim == 1:
            return F.cross_entropy(output, self.target, reduction="none")
        losses = F.binary_cross_entropy_with_logits(
            output, self.target.float(), reduction="none", pos_weight=self.presence
        )
        return losses.sum(1)


def _average(vectors: Tensor, parameter: Tensor, attention: bool) -> Tensor:
    """Average the vectors of each clip, shape (n, l, d) to (n, d)."""
    if not attention:
        return torch.einsum("l,nld->nd", parameter.softmax(0), vectors)
    return torch.einsum("nl,nld->nd", (vectors @ parameter).softmax(1), vectors)
