"""Predict the genres of a track from the nearest training tracks, without training."""

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.console import progress
from lit_genre.model.metrics import TrackScores
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import check_genres, primary_score

_N_NEIGHBORS: Final = (50, 20, 10, 5, 3, 1)
"""Numbers of neighbours to select from. The largest comes first: of equal scores, the first is selected."""

_DEFAULT_N_NEIGHBORS: Final = 10
"""Number of neighbours without a validation split."""

_TRACKS_PER_STEP: Final = 1024
"""Tracks that are compared with all training tracks at a time, for the progress bar."""


class FittedNeighbors(NamedTuple):
    """The training tracks, in which neighbours are searched.

    Attributes:
        scaler: StandardScaler of the embeddings.
        search: NearestNeighbors of the scaled embeddings of t training tracks.
        membership: 1 for each genre of each training track, else 0, shape (t, c).
        setting: Number of neighbours, of which each has one vote for each of its genres.
        val_score: Score of the validation tracks by which it was selected; 0 without a validation split.
        class_weights: Weight of a vote for each genre, shape (c,); None for equal ones.
    """

    scaler: Any
    search: Any
    membership: NDArray[np.float32]
    setting: int
    val_score: float = 0.0
    class_weights: NDArray[np.float64] | None = None

    def score(self, clips: ClipEmbeddings, split: str) -> TrackScores:
        """Compute the probabilities of tracks: the fraction of the neighbours that have each genre, weighted.

        Args:
            clips: Clips of the tracks. A training track is its own nearest neighbour.
            split: Name of the split, for the progress bar.

        Returns:
            Probabilities and label of each track.
        """
        tracks = average_tracks(clips)
        return self._vote(tracks, self._search_neighbors(tracks, split), self.setting)

    def _search_neighbors(self, tracks: ClipEmbeddings, split: str) -> NDArray[np.int64]:
        """Return the positions of the nearest training tracks, the nearest first, shape (t, n_neighbors)."""
        embedding = self.scaler.transform(tracks.embedding)
        steps = range(0, len(embedding), _TRACKS_PER_STEP)
        found = []
        with progress(f"Searching neighbours: {split}", len(steps), "steps") as advance:
            for first in steps:
                rows = embedding[first : first + _TRACKS_PER_STEP]
                found.append(self.search.kneighbors(rows, self.setting, return_distance=False))
                advance()
        return np.concatenate(found)

    def _vote(self, tracks: ClipEmbeddings, neighbors: NDArray[np.int64], n_neighbors: int) -> TrackScores:
        probs = self.membership[neighbors[:, :n_neighbors]].mean(1)
        if self.class_weights is not None:
            present = probs * self.class_weights.astype(np.float32)
            # In the multilabel task the weight is that of the presence of a genre, against its absence.
            total = present + 1 - probs if tracks.label.ndim == 2 else present.sum(1, keepdims=True)
            probs = present / total
        return TrackScores(*map(torch.from_numpy, (tracks.track_id, probs, tracks.label)))


def fit_neighbors(train: ClipEmbeddings, val: ClipEmbeddings | None, n_classes: int) -> FittedNeighbors:
    """Prepare the search, and select the number of neighbours with the best score of the validation tracks.

    The score is the accuracy, or the mean average precision in the multilabel task. It is not the likelihood as of the
    other heads: a genre that no neighbour has, has the probability 0. Each track has one embedding, the mean over its
    clips. Otherwise a long track would be several neighbours.

    Args:
        train: Clips of the training tracks.
        val: Clips of the validation tracks; None if there are none.
        n_classes: Number of genres c.

    Returns:
        The training tracks and the selected number of neighbours.

    Raises:
        LitGenreError: All training tracks have the same genres.
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    check_genres(train.label)
    tracks = average_tracks(train)
    # Without scaling, the cosine depends on the few numbers of an embedding with the largest values alone.
    scaler = StandardScaler().fit(tracks.embedding)
    search = NearestNeighbors(metric="cosine", algorithm="brute").fit(scaler.transform(tracks.embedding))
    membership = (tracks.label if tracks.label.ndim == 2 else np.eye(n_classes)[tracks.label]).astype(np.float32)
    n_neighbors = min(_DEFAULT_N_NEIGHBORS, len(membership))
    fitted = FittedNeighbors(scaler, search, membership, n_neighbors, class_weights=train.class_weights)
    if val is None:
        return fitted
    candidates = [number for number in _N_NEIGHBORS if number <= len(membership)]
    val_tracks = average_tracks(val)
    neighbors = fitted._replace(setting=candidates[0])._search_neighbors(val_tracks, "val")
    scores = [primary_score(fitted._vote(val_tracks, neighbors, number)) for number in candidates]
    best = int(np.argmax(scores))
    return fitted._replace(setting=candidates[best], val_score=scores[best])


def average_tracks(clips: ClipEmbeddings) -> ClipEmbeddings:
    """Average the embeddings of the clips of each track.

    Args:
        clips: Clips of t tracks.

    Returns:
        A row for each track, in the order of the track ids.
    """
    track_id, first, track, count = np.unique(
        clips.track_id, return_index=True, return_inverse=True, return_counts=True
    )
    total = np.zeros((len(track_id), clips.embedding.shape[1]))
    np.add.at(total, track, clips.embedding)
    return ClipEmbeddings((total / count[:, None]).astype(np.float32), clips.label[first], track_id)
