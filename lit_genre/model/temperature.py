"""Fit a temperature, which calibrates probabilities (temperature scaling)."""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_genre.batch import Task
from lit_genre.errors import LitGenreError

_RANGE: Final = (1e-3, 1e3)
"""Range of temperatures, wide because the decision values of a classifier have any scale."""


class Temperature(NamedTuple):
    """A fitted temperature.

    Attributes:
        value: The temperature, above 0; more than 1 if the logits are overconfident.
        loss_before: Log-loss of the tracks with temperature 1.
        loss: Log-loss of the tracks with this temperature.
        n_tracks: Number of tracks.
    """

    value: float
    loss_before: float
    loss: float
    n_tracks: int


def check_temperature(temperature: float) -> float:
    """Return a temperature if it is one.

    Args:
        temperature: Divisor of logits.

    Raises:
        LitGenreError: It is not a finite number above 0.
    """
    if not 0 < temperature < math.inf:
        raise LitGenreError(f"temperature is {temperature}, but must be a number above 0.")
    return float(temperature)


def fit_temperature(logits: Tensor, track: Tensor, label: Tensor, task: Task) -> Temperature:
    """Find the temperature with the lowest log-loss of tracks.

    The probabilities of a track are the mean over its clips of the softmax, or the sigmoids, of logits divided by the
    temperature. All clips of a track must have its label.

    Args:
        logits: Logits of clips, shape (b, c).
        track: Track of each clip, int64, shape (b,).
        label: Labels of the clips, int64, shape (b,); in the multilabel task 0 or 1 for each class, shape (b, c).
        task: Whether a track has one genre or several.

    Returns:
        The temperature, within 0.001 to 1000.

    Reference:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    # Imported here: training does not need it.
    from scipy.optimize import minimize_scalar

    logits = logits.double()
    tracks, row = torch.unique(track, return_inverse=True)
    label_of_track = label.new_zeros(len(tracks), *label.shape[1:])
    label_of_track[row] = label
    n_clips = row.bincount()[:, None]

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        probs = scaled.sigmoid() if task == "multilabel" else scaled.softmax(-1)
        mean = probs.new_zeros(len(tracks), probs.shape[1]).index_add_(0, row, probs) / n_clips
        if task == "multilabel":
            # It limits the logarithm of a probability that is rounded to 0.
            return float(F.binary_cross_entropy(mean, label_of_track.to(mean.dtype)))
        return float(F.nll_loss(mean.clamp(min=torch.finfo(mean.dtype).tiny).log(), label_of_track))

    # On a logarithmic scale, because the range has six orders of magnitude.
    low, high = map(math.log, _RANGE)
    value = math.exp(minimize_scalar(lambda logarithm: loss(math.exp(logarithm)), bounds=(low, high)).x)
    return Temperature(value, loss(1.0), loss(value), len(tracks))


def logits_of(probs: Tensor, task: Task) -> Tensor:
    """Compute logits from probabilities, up to a constant that softmax ignores.

    Args:
        probs: Probabilities, shape (b, c).
        task: Whether they are of a softmax or of sigmoids.

    Returns:
        Logits, float64, shape (b, c), finite.
    """
    probs = probs.double()
    if task == "multilabel":
        # float32 has no number between 1 - 6e-8 and 1.
        return probs.logit(eps=torch.finfo(torch.float32).eps / 2)
    return probs.clamp(min=torch.finfo(torch.float32).tiny).log()
