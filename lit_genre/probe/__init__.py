"""Train a head on the embeddings of a frozen backbone, which takes minutes instead of hours."""

from typing import Literal

Kind = Literal["linear", "mlp"]
"""Kind of the head: logistic regression, or a perceptron with one hidden layer."""
