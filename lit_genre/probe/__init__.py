"""Train a head on the embeddings of a frozen backbone, which takes minutes instead of hours."""

from typing import Literal

Kind = Literal["logistic", "knn", "mlp"]
"""Kind of the head: logistic regression, the nearest training tracks, or a perceptron with one hidden layer."""

AskedLayers = list[int] | Literal["all", "weighted"]
"""Layers to choose from: by their numbers, or all; or all, averaged with weights."""
