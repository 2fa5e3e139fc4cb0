"""Convert a head of scikit-learn to layers of torch."""

from typing import Any

import torch
from torch import Tensor, nn

from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import Pool
from lit_genre.probe.head import FittedHead
from lit_genre.probe.layer_choice import Choice
from lit_genre.probe.one_vs_rest import CERTAIN_LOGIT


def write_head(choice: Choice, model: GenreClassifier, pool: Pool) -> None:
    """Write a trained head into a model that embeds by the chosen layers.

    Args:
        choice: The layers, and the trained head.
        model: The model, with as many hidden layers as the trained head; its head is replaced.
        pool: How states are pooled over time, if layers were chosen.
    """
    if choice.layers is not None:
        model.choose_layers(choice.layers, pool)
        model.eval().requires_grad_(False)
        assert model.layer_pooling is not None
        for parameter in (model.layer_pooling.weights, model.layer_pooling.query):
            if parameter is not None:
                parameter.copy_(choice.fitted.classifier.parameter)
    write_linear_layers(choice.fitted, model.head)


def write_linear_layers(fitted: FittedHead, head: nn.Module) -> None:
    """Write a trained head, with the scaling of its input, into the linear layers of a GenreClassifier's head.

    Args:
        fitted: The trained head.
        head: Module with as many linear layers as the trained head; its weights are replaced.
    """
    weights, biases = _linear_layers(fitted.classifier)
    scale, mean = torch.from_numpy(fitted.scaler.scale_), torch.from_numpy(fitted.scaler.mean_)
    # W (x - mean) / scale + b = (W / scale) x + (b - (W / scale) mean), so the checkpoint needs no scaling layer.
    weights[0] = weights[0] / scale
    biases[0] = biases[0] - weights[0] @ mean
    *hidden, last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight, bias in zip(hidden, weights[:-1], biases[:-1], strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        # Scikit-learn's head has only the classes with training tracks. The probability of the others becomes 0.
        last.weight.zero_()
        last.bias.fill_(-CERTAIN_LOGIT)
        last.weight[fitted.classifier.classes_] = weights[-1].float()
        last.bias[fitted.classifier.classes_] = biases[-1].float()


def _linear_layers(classifier: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return weights, shape (out, in), and biases, shape (out,), of each layer, in float64."""
    if hasattr(classifier, "coefs_"):
        weights = [torch.from_numpy(weight).double().T for weight in classifier.coefs_]
        biases = [torch.from_numpy(bias).double() for bias in classifier.intercepts_]
    else:
        weights = [torch.from_numpy(classifier.coef_).double()]
        biases = [torch.from_numpy(classifier.intercept_).double()]
    if len(weights[-1]) == 1:
        # For two classes scikit-learn has only the logit of the second one; that of the first is 0. In the multilabel
        # task it has one for each genre.
        weights[-1] = torch.cat([torch.zeros_like(weights[-1]), weights[-1]])
        biases[-1] = torch.cat([torch.zeros_like(biases[-1]), biases[-1]])
    return weights, biases
