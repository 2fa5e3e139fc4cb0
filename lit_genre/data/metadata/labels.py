"""Convert genres of tracks to labels, and compute the classes of a task and how often each occurs."""

import numpy as np
from numpy.typing import NDArray

from lit_genre.batch import Task
from lit_genre.data.metadata.track import Track


def genres_of(track: Track, task: Task) -> tuple[str, ...]:
    """Return the genres of a track that a model predicts: its root genre, or all its genres and their ancestors.

    They are empty if the track has no label in the task: for "multiclass" if it has several root genres, for
    "multilabel" if it has no genre.
    """
    if task == "multilabel":
        return track.genres
    return (track.genre_top,) if track.genre_top else ()


def class_names(tracks: list[Track], task: Task = "multiclass") -> list[str]:
    """Return the genres of the tracks, sorted; the label of a genre is its position in this list."""
    return sorted({genre for track in tracks for genre in genres_of(track, task)})


def label_array(tracks: list[Track], classes: list[str], task: Task = "multiclass") -> NDArray[np.int64]:
    """Encode the genres of tracks as labels.

    Args:
        tracks: The tracks.
        classes: Class names, from `class_names`.
        task: "multiclass" or "multilabel".

    Returns:
        For "multiclass" positions in `classes`, shape (t,), int64; for "multilabel" 0 or 1 for each class, shape
        (t, c), int64.
    """
    labels_by_name = {name: label for label, name in enumerate(classes)}
    if task == "multiclass":
        return np.array([labels_by_name[track.genre_top] for track in tracks], dtype=np.int64)
    labels = np.zeros((len(tracks), len(classes)), dtype=np.int64)
    for row, track in zip(labels, tracks, strict=True):
        row[[labels_by_name[genre] for genre in track.genres]] = 1
    return labels


def class_counts(tracks: list[Track], classes: list[str], task: Task = "multiclass") -> list[int]:
    """Return the number of tracks of each class, in the order of `classes`."""
    labels = label_array(tracks, classes, task)
    counts = np.bincount(labels, minlength=len(classes)) if task == "multiclass" else labels.sum(0)
    return [int(count) for count in counts]


def balanced_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute weights of tracks with which each class is drawn equally often.

    A class has the weight 1 over the number of its tracks; a track has the mean weight of its classes.

    Args:
        labels: Labels from `label_array`, shape (t,) or (t, c), int64.

    Returns:
        Probability of each track, shape (t,), float64, with sum 1.
    """
    membership = labels if labels.ndim == 2 else np.eye(labels.max(initial=0) + 1)[labels]
    # A class without tracks, and a track without classes, must not divide by zero.
    rarity = 1 / np.maximum(membership.sum(0), 1)
    weights = membership @ rarity / np.maximum(membership.sum(1), 1)
    # numpy.random.choice needs probabilities with sum 1.
    return np.asarray(weights / weights.sum())
