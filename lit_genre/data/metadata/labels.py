"""From tracks to labels: which tracks a task has, what its classes are, and how often each occurs."""

import numpy as np
from numpy.typing import NDArray

from lit_genre.batch import Task
from lit_genre.data.metadata.track import Track


def genres_of(track: Track, task: Task) -> tuple[str, ...]:
    """Name what is to be found in a track: its one root genre, or all its genres and their ancestors.

    Empty where it has no place in the task: more than one root genre for "single", none at all for "multi".
    """
    if task == "multi":
        return track.genres
    return (track.genre_top,) if track.genre_top else ()


def class_names(tracks: list[Track], task: Task = "single") -> list[str]:
    """List the genres that the tracks have, sorted: position in this list is the label."""
    return sorted({genre for track in tracks for genre in genres_of(track, task)})


def label_array(tracks: list[Track], classes: list[str], task: Task = "single") -> NDArray[np.int64]:
    """Encode the genres of tracks: a position in `classes` each, shape (t,), or for "multi" 0 or 1, shape (t, c)."""
    label_of = {name: label for label, name in enumerate(classes)}
    if task == "single":
        return np.array([label_of[track.genre_top] for track in tracks], dtype=np.int64)
    labels = np.zeros((len(tracks), len(classes)), dtype=np.int64)
    for row, track in zip(labels, tracks, strict=True):
        row[[label_of[genre] for genre in track.genres]] = 1
    return labels


def class_counts(tracks: list[Track], classes: list[str], task: Task = "single") -> list[int]:
    """Count the tracks of each class."""
    labels = label_array(tracks, classes, task)
    counts = np.bincount(labels, minlength=len(classes)) if task == "single" else labels.sum(0)
    return [int(count) for count in counts]


def balanced_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh tracks so that each class is drawn alike: 1 over the number of its tracks, the mean over a track's classes.

    Args:
        labels: From `label_array`.

    Returns:
        Probability of each track, shape (t,), of sum 1.
    """
    membership = labels if labels.ndim == 2 else np.eye(labels.max(initial=0) + 1)[labels]
    rarity = 1 / np.maximum(membership.sum(0), 1)
    weights = membership @ rarity / np.maximum(membership.sum(1), 1)
    return np.asarray(weights / weights.sum())
