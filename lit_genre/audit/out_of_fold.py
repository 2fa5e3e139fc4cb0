"""Class probabilities of each track by a simple classifier that was trained on other artists (out of fold)."""

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
_STEPS: Final = 200


def out_of_fold(tracks: list[Track], timbre: dict[int, NDArray[np.float32]], folds: int, seed: int) -> pd.DataFrame:
    """Estimate the probability of each genre for each track by a classifier trained on other artists.

    The classifier is multinomial logistic regression with L2 on standardised statistics of the timbre. A track whose
    genre no other fold has cannot be judged, and is left out; so are tracks without timbre or a root genre.

    Args:
        tracks: Those to judge.
        timbre: Features of each track, shape (d,).
        folds: Parts that the artists are dealt to.
        seed: Fixes which artist is in which.

    Returns:
        A row a track, by `track_id`; a column a genre.
    """
    tracks = [track for track in tracks if track.genre_top and track.track_id in timbre]
    genres = sorted({track.genre_top for track in tracks})
    probs = pd.DataFrame(columns=genres, index=pd.Index([], name="track_id"), dtype=float)
    if not tracks:
        return probs
    label = torch.tensor([genres.index(track.genre_top) for track in tracks])
    features = torch.from_numpy(np.stack([timbre[track.track_id] for track in tracks])).double()
    fold_of = torch.tensor(deal_artists(tracks, folds, seed))
    judged = []
    with progress("Judging labels", folds, "folds") as advance:
        for fold in range(folds):
            known, held_out = fold_of != fold, fold_of == fold
            held_out &= torch.isin(label, label[known])
            if held_out.any():
                found = _fit_and_predict(features, label, known, held_out, len(genres))
                ids = [tracks[place].track_id for place in held_out.nonzero().flatten().tolist()]
                judged.append(pd.DataFrame(found.numpy(), index=pd.Index(ids, name="track_id"), columns=genres))
            advance()
    return pd.concat(judged).sort_index() if judged else probs


def deal_artists(tracks: list[Track], folds: int, seed: int) -> list[int]:
    """Deal artists to folds, with all their tracks, so that each genre is in as many folds as its artists allow."""
    genres_of: defaultdict[int, Counter[str]] = defaultdict(Counter)
    # A track of an unknown artist is an artist of its own.
    artists = [track.artist_id if track.artist_id >= 0 else -1 - track.track_id for track in tracks]
    for artist, track in zip(artists, tracks, strict=True):
        genres_of[artist][track.genre_top] += 1
    shuffled = np.random.default_rng(seed).permutation(sorted(genres_of)).tolist()
    in_turn = sorted(shuffled, key=lambda artist: genres_of[artist].most_common(1)[0][0])
    fold_of = {artist: place % folds for place, artist in enumerate(in_turn)}
    return [fold_of[artist] for artist in artists]


def _fit_and_predict(features: Tensor, label: Tensor, known: Tensor, held_out: Tensor, n_classes: int) -> Tensor:
    """Train on the known rows; give the probabilities of those held out, shape (h, c)."""
    spread, mean = torch.std_mean(features[known], dim=0, correction=0)
    features = (features - mean) / spread.clamp_min(1e-9)
    weight = torch.zeros(features.shape[1], n_classes, dtype=features.dtype, requires_grad=True)
    bias = torch.zeros(n_classes, dtype=features.dtype, requires_grad=True)
    optimiser: Any = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    training, genre = features[known], label[known]

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(training @ weight + bias, genre) + _L2 / 2 * weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimiser.step(loss)
    with torch.no_grad():
        return (features[held_out] @ weight + bias).softmax(1)
