"""A head of scikit-learn, as layers of torch."""

from typing import Any, Final

import torch
from torch import Tensor, nn

from lit_genre.probe.head import Fitted

_NEVER: Final = -1e4
"""Logit of a genre that training has not heard of; finite in half precision."""


def write_head(fitted: Fitted, head: nn.Module) -> None:
    """Write a trained head, and the scaling in front of it, into the layers of a GenreClassifier's."""
    weights, biases = _layers(fitted.classifier)
    scale, mean = torch.from_numpy(fitted.scaler.scale_), torch.from_numpy(fitted.scaler.mean_)
    weights[0] = weights[0] / scale
    biases[0] = biases[0] - weights[0] @ mean
    *hidden, last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight, bias in zip(hidden, weights[:-1], biases[:-1], strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        last.weight.zero_()
        last.bias.fill_(_NEVER)
        last.weight[fitted.classifier.classes_] = weights[-1].float()
        last.bias[fitted.classifier.classes_] = biases[-1].float()


def _layers(classifier: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Lay out weights, shape (out, in), and biases, shape (out,), of each layer."""
    if hasattr(classifier, "coefs_"):
        weights = [torch.from_numpy(weight).double().T for weight in classifier.coefs_]
        biases = [torch.from_numpy(bias).double() for bias in classifier.intercepts_]
    else:
        weights = [torch.from_numpy(classifier.coef_).double()]
        biases = [torch.from_numpy(classifier.intercept_).double()]
    if len(classifier.classes_) == 2:
        # Of two genres only the logit of the second is there, beside a 0 for the first.
        weights[-1] = torch.cat([torch.zeros_like(weights[-1]), weights[-1]])
        biases[-1] = torch.cat([torch.zeros_like(biases[-1]), biases[-1]])
    return weights, biases
