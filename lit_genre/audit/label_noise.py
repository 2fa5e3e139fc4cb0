"""Doubtful labels by confident learning: tracks that count as another genre by that genre's own standard.

Reference: C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70, 2021. The candidates are the off-diagonal of its confident joint, ranked by margin.
"""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError

_COLUMNS: Final = ["track_id", "rank", "probability", "suggested", "suggested_probability", "margin"]
_LEADING: Final = ["track_id", "genre", "predicted"]


def label_noise(tracks: list[Track], probs: pd.DataFrame) -> pd.DataFrame:
    """List the tracks whose label is doubtful, the most doubtful first.

    Args:
        tracks: Those to judge; only tracks with one root genre are.
        probs: Probability of each genre, a row a track, by a model that was not trained on the track.

    Returns:
        A row a track, by `track_id`: probability of its genre, the suggested genre and its probability.
    """
    genre_of = {track.track_id: track.genre_top for track in tracks if track.genre_top}
    probs = probs.loc[[track_id for track_id in probs.index if track_id in genre_of]]
    values, genres = probs.to_numpy(dtype=float), np.array(probs.columns)
    place_of = {genre: place for place, genre in enumerate(genres)}
    label = np.array([place_of[genre_of[track_id]] for track_id in probs.index], dtype=np.int64)
    suggested = _confident(values, label)
    row = np.arange(len(label))
    own, other = values[row, label], values[row, suggested]
    table = pd.DataFrame(
        {
            "track_id": probs.index,
            "probability": own.round(4),
            "suggested": genres[suggested],
            "suggested_probability": other.round(4),
            "margin": (other - own).round(4),
        }
    )
    # One whose own genre is the likeliest of all stays, however high that genre's standard.
    table = table[other > own].sort_values(["margin", "track_id"], ascending=[False, True])
    table.insert(1, "rank", range(1, len(table) + 1))
    return table[_COLUMNS].set_index("track_id")


def _confident(probs: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tell as which genre each row counts, shape (n,): its own where none is as likely as its tracks are on average."""
    n_classes = probs.shape[1]
    standard = np.array(
        [probs[label == c, c].mean() if (label == c).any() else np.inf for c in range(n_classes)], dtype=float
    )
    confident = probs >= standard
    likeliest = np.where(confident, probs, -1.0).argmax(1) if len(probs) else label
    return np.where(confident.any(1), likeliest, label)


def accuracy(tracks: list[Track], probs: pd.DataFrame) -> float:
    """Tell how often the likeliest genre is the track's own: how far to believe the rest."""
    genre_of = {track.track_id: track.genre_top for track in tracks}
    return float((probs.idxmax(axis=1) == probs.index.map(genre_of)).mean())


def read_predictions(path: Path, tracks: list[Track]) -> pd.DataFrame:
    """Read the probabilities that a run left in test.csv or predictions.csv, of the tracks that are here.

    Genres that are no track's root genre, as a model of several genres a track knows them, do not count.

    Raises:
        LitGenreError: The file is not there or not such a table, lacks a genre, or has none of the tracks.
    """
    try:
        # As text, header and all: a genre may have the name of another column.
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
        names, rows = table.iloc[0].tolist(), table.iloc[1:]
        if names[:3] != _LEADING:
            raise ValueError(f"its columns begin with {', '.join(names[:3])}")
        probs = rows.iloc[:, 3:].astype(float).set_axis(names[3:], axis=1).set_axis(rows[0].astype(int).tolist())
        if not probs.index.is_unique or not probs.map(lambda prob: 0 <= prob <= 1).all(axis=None):
            raise ValueError("a track is there twice, or a probability is not within 0 to 1")
    except (ValueError, OSError) as error:
        raise LitGenreError(
            f"{path} is not the test.csv or predictions.csv of a run, whose columns are {', '.join(_LEADING)} and one "
            f"a genre: {error}."
        ) from error
    genre_of = {track.track_id: track.genre_top for track in tracks if track.genre_top}
    probs = probs.loc[probs.index.isin(list(genre_of))]
    if probs.empty:
        raise LitGenreError(f"{path} has none of these tracks: is it of another data set or subset?")
    if lacking := {genre_of[track_id] for track_id in probs.index} - set(probs.columns):
        raise LitGenreError(f"{path} has no column {', '.join(sorted(lacking))}: its model does not know that genre.")
    return probs[[genre for genre in probs.columns if genre in set(genre_of.values())]]
