"""Compute class probabilities of each track by a simple classifier that was trained on other artists (out of fold)."""

import warnings
from collections import Counter
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.data.metadata.track import Track

_L2: Final = 0.03
"""Weight of the L2 penalty relative to the mean loss of the training tracks, for standardised features."""

_MAX_STEPS: Final = 200
"""L-BFGS stops earlier if it has converged."""


def out_of_fold(tracks: list[Track], timbre: dict[int, NDArray[np.float32]], folds: int, seed: int) -> pd.DataFrame:
    """Estimate the probability of each genre for each track by cross-validation over artists.

    The classifier is multinomial logistic regression with an L2 penalty on standardised features. Left out are tracks
    without features, tracks without a root genre, and genres that are in one fold only.

    Args:
        tracks: The tracks.
        timbre: Features of each track, shape (d,), by track id.
        folds: Number of folds.
        seed: Seed of the assignment of artists to folds.

    Returns:
        Probabilities, 0 to 1: a row for each track, indexed by `track_id`, a column for each genre. The table is empty
        if fewer than two genres are left.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    tracks = sorted(
        (track for track in tracks if track.genre_top and track.track_id in timbre), key=lambda track: track.track_id
    )
    fold_numbers = assign_folds(tracks, folds, seed)
    label = np.array([track.genre_top for track in tracks], dtype=np.str_)
    # cross_val_predict returns probability 0 for a class that a training part lacks, and warns.
    genres = [genre for genre in np.unique(label).tolist() if len(np.unique(fold_numbers[label == genre])) > 1]
    if len(genres) < 2:
        return pd.DataFrame(columns=genres, index=pd.Index([], name="track_id"), dtype=float)
    kept = np.isin(label, genres)
    features = np.stack([timbre[track.track_id] for track in tracks])[kept]
    # Scikit-learn's C applies to the sum of the losses, not to their mean. All training parts have about this size.
    n_training = len(features) * (1 - 1 / folds)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (_L2 * n_training), max_iter=_MAX_STEPS))
    probs = cross_val_predict(
        classifier, features, label[kept], cv=PredefinedSplit(fold_numbers[kept]), method="predict_proba"
    )
    ids = np.array([track.track_id for track in tracks])[kept]
    return pd.DataFrame(probs, index=pd.Index(ids, name="track_id"), columns=genres)


def assign_folds(tracks: list[Track], folds: int, seed: int) -> NDArray[np.int64]:
    """Assign each artist with all tracks to one fold, so that the folds have similar numbers of tracks of each genre.

    Args:
        tracks: The tracks; a track of an unknown artist counts as an artist of its own.
        folds: Number of folds.
        seed: Seed of the order of the artists.

    Returns:
        Number of the fold of each track, from 0 on, shape (t,). All are 0 if there is only one artist, or if no genre
        has two tracks.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fold_numbers = np.zeros(len(tracks), dtype=np.int64)
    genres = [track.genre_top for track in tracks]
    # Ids of known artists are at least 0, so negative numbers are free.
    artists = [track.artist_id if track.artist_id >= 0 else -1 - track.track_id for track in tracks]
    # Scikit-learn raises an error if there are more folds than artists, or than tracks of the most frequent genre.
    n_splits = min(folds, len(set(artists)), max(Counter(genres).values(), default=0))
    if n_splits < 2:
        return fold_numbers
    with warnings.catch_warnings():
        # A genre with fewer tracks than folds is in fewer folds, which `out_of_fold` allows.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed).split(genres, genres, artists)
        for number, (_, held_out) in enumerate(splits):
            fold_numbers[held_out] = number
    return fold_numbers
