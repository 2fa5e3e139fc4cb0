"""Compute class probabilities of each track by a simple classifier that was trained on other artists (out of fold)."""

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.console import progress
from lit_genre.data.metadata.track import Track

_L2: Final = 0.03
"""Weight of the L2 penalty, for standardised features."""

_MAX_STEPS: Final = 200
"""L-BFGS stops earlier if it has converged."""


def out_of_fold(tracks: list[Track], timbre: dict[int, NDArray[np.float32]], folds: int, seed: int) -> pd.DataFrame:
    """Estimate the probability of each genre for each track by cross-validation over artists.

    The classifier is multinomial logistic regression with an L2 penalty on standardised features. A track whose genre
    is in no other fold is left out; so are tracks without features or without a root genre.

    Args:
        tracks: The tracks.
        timbre: Features of each track, shape (d,), by track id.
        folds: Number of folds.
        seed: Seed of the assignment of artists to folds.

    Returns:
        Probabilities, 0 to 1: a row for each track, indexed by `track_id`, a column for each genre.
    """
    tracks = [track for track in tracks if track.genre_top and track.track_id in timbre]
    genres = sorted({track.genre_top for track in tracks})
    probs = pd.DataFrame(columns=genres, index=pd.Index([], name="track_id"), dtype=float)
    if not tracks:
        return probs
    label = torch.tensor([genres.index(track.genre_top) for track in tracks])
    features = torch.from_numpy(np.stack([timbre[track.track_id] for track in tracks])).double()
    fold_numbers = torch.tensor(assign_folds(tracks, folds, seed))
    fold_probs = []
    with progress("Checking labels", folds, "folds") as advance:
        for fold in range(folds):
            training, held_out = fold_numbers != fold, fold_numbers == fold
            # The classifier cannot predict a genre that it was not trained on.
            held_out &= torch.isin(label, label[training])
            if held_out.any():
                values = _fit_and_predict(features, label, training, held_out, len(genres))
                ids = [tracks[position].track_id for position in held_out.nonzero().flatten().tolist()]
                fold_probs.append(pd.DataFrame(values.numpy(), index=pd.Index(ids, name="track_id"), columns=genres))
            advance()
    return pd.concat(fold_probs).sort_index() if fold_probs else probs


def assign_folds(tracks: list[Track], folds: int, seed: int) -> list[int]:
    """Assign artists to folds, with all their tracks, so that each genre is in as many folds as its artists allow.

    Args:
        tracks: The tracks; a track of an unknown artist counts as an artist of its own.
        folds: Number of folds.
        seed: Seed of the order of the artists.

    Returns:
        Number of the fold of each track, from 0 on.
    """
    genre_counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    # Ids of known artists are at least 0, so negative numbers are free.
    artists = [track.artist_id if track.artist_id >= 0 else -1 - track.track_id for track in tracks]
    for artist, track in zip(artists, tracks, strict=True):
        genre_counts[artist][track.genre_top] += 1
    shuffled = np.random.default_rng(seed).permutation(sorted(genre_counts)).tolist()
    # Artists of one genre follow each other, so they are assigned to different folds.
    by_genre = sorted(shuffled, key=lambda artist: genre_counts[artist].most_common(1)[0][0])
    folds_by_artist = {artist: position % folds for position, artist in enumerate(by_genre)}
    return [folds_by_artist[artist] for artist in artists]


def _fit_and_predict(features: Tensor, label: Tensor, training: Tensor, held_out: Tensor, n_classes: int) -> Tensor:
    """Train on the training rows; return the probabilities of the rows held out, shape (h, c)."""
    deviation, mean = torch.std_mean(features[training], dim=0, correction=0)
    # A constant feature must not divide by zero.
    features = (features - mean) / deviation.clamp_min(1e-9)
    weight = torch.zeros(features.shape[1], n_classes, dtype=features.dtype, requires_grad=True)
    bias = torch.zeros(n_classes, dtype=features.dtype, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS([weight, bias], max_iter=_MAX_STEPS, line_search_fn="strong_wolfe")
    training_features, training_label = features[training], label[training]

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(training_features @ weight + bias, training_label) + _L2 / 2 * weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)
    with torch.no_grad():
        return (features[held_out] @ weight + bias).softmax(1)
