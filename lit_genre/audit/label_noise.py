"""Find doubtful labels by confident learning.

Reference: C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
JAIR 70, 2021. The candidates are the off-diagonal elements of its confident joint, ranked by margin.
"""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError
from lit_genre.runs.accuracy import TEST_COLUMNS

_COLUMNS: Final = ["track_id", "rank", "probability", "suggested", "suggested_probability", "margin"]


def label_noise(tracks: list[Track], probs: pd.DataFrame) -> pd.DataFrame:
    """Find the tracks whose label is doubtful, the most doubtful first.

    Args:
        tracks: Tracks to check; those without a single root genre are skipped.
        probs: Probability of each genre, 0 to 1: a row for each track, indexed by track id, a column for each genre, by
            a model that was not trained on the track.

    Returns:
        A row for each track found, indexed by `track_id`: rank, probability of its genre, the suggested genre and its
        probability, and the margin between the two.
    """
    genres_by_id = {track.track_id: track.genre_top for track in tracks if track.genre_top}
    probs = probs.loc[[track_id for track_id in probs.index if track_id in genres_by_id]]
    values, genres = probs.to_numpy(dtype=float), np.array(probs.columns)
    labels_by_genre = {genre: label for label, genre in enumerate(genres)}
    label = np.array([labels_by_genre[genres_by_id[track_id]] for track_id in probs.index], dtype=np.int64)
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
    # A track whose own genre is the most probable one is not listed, even below the threshold of that genre.
    table = table[other > own].sort_values(["margin", "track_id"], ascending=[False, True])
    table.insert(1, "rank", range(1, len(table) + 1))
    return table[_COLUMNS].set_index("track_id")


def _confident(probs: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the confident class of each row, shape (n,).

    The threshold of a class is the mean probability of that class over its tracks. Of the classes above their threshold
    the most probable one is the confident class; without such a class, it is the label.
    """
    n_classes = probs.shape[1]
    # A class without tracks has no threshold and is never the confident class.
    threshold = np.array(
        [probs[label == c, c].mean() if (label == c).any() else np.inf for c in range(n_classes)], dtype=float
    )
    confident = probs >= threshold
    most_probable = np.where(confident, probs, -1.0).argmax(1) if len(probs) else label
    return np.where(confident.any(1), most_probable, label)


def accuracy(tracks: list[Track], probs: pd.DataFrame) -> float:
    """Return the accuracy of the classifier, 0 to 1, which shows how reliable the list of doubtful labels is.

    Args:
        tracks: The tracks.
        probs: Probability of each genre: a row for each track, indexed by track id, a column for each genre.
    """
    genres_by_id = {track.track_id: track.genre_top for track in tracks}
    return float((probs.idxmax(axis=1) == probs.index.map(genres_by_id)).mean())


def read_predictions(path: Path, tracks: list[Track]) -> pd.DataFrame:
    """Read the probabilities that a run wrote to test.csv or predictions.csv.

    Args:
        path: The file.
        tracks: Tracks whose probabilities are read.

    Returns:
        Probability of each root genre, 0 to 1: a row for each track, indexed by track id, a column for each genre.
        Genres that are not the root genre of a track, which a multilabel model predicts, are left out.

    Raises:
        LitGenreError: The file does not exist, is not such a table, lacks a genre, or has none of the tracks.
    """
    try:
        # Header and rows are read as text: a genre may have the name of another column.
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
        names, rows = table.iloc[0].tolist(), table.iloc[1:]
        n_leading = len(TEST_COLUMNS)
        if names[:n_leading] != list(TEST_COLUMNS):
            raise ValueError(f"its columns begin with {', '.join(names[:n_leading])}")
        probs = rows.iloc[:, n_leading:].astype(float).set_axis(names[n_leading:], axis=1)
        probs = probs.set_axis(rows[0].astype(int).tolist())
        if not probs.index.is_unique or not probs.map(lambda prob: 0 <= prob <= 1).all(axis=None):
            raise ValueError("a track is in two rows, or a probability is not between 0 and 1")
    except (ValueError, OSError) as error:
        raise LitGenreError(
            f"{path} is not the test.csv or predictions.csv of a run, whose columns are {', '.join(TEST_COLUMNS)} and "
            f"one for each genre: {error}."
        ) from error
    genres_by_id = {track.track_id: track.genre_top for track in tracks if track.genre_top}
    probs = probs.loc[probs.index.isin(list(genres_by_id))]
    if probs.empty:
        raise LitGenreError(f"{path} has none of these tracks. Check whether it belongs to another data set or subset.")
    if missing := {genres_by_id[track_id] for track_id in probs.index} - set(probs.columns):
        raise LitGenreError(
            f"{path} has no column {', '.join(sorted(missing))}: its model does not predict that genre."
        )
    return probs[[genre for genre in probs.columns if genre in set(genres_by_id.values())]]
