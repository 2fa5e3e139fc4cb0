import numpy as np
import pytest

from lit_genre.data.metadata.labels import balanced_weights, class_counts, class_names, genres_of, label_array
from lit_genre.data.metadata.track import Track


def track(track_id: int, genre_top: str, *genres: str) -> Track:
    return Track(track_id, "train", genre_top, genres, "", 1, "", -1)


TRACKS = [track(1, "Rock", "Punk", "Rock"), track(2, "", "Folk", "Punk", "Rock"), track(3, "Folk", "Folk")]


def test_a_track_of_two_roots_has_no_single_genre() -> None:
    assert [genres_of(one, "multiclass") for one in TRACKS] == [("Rock",), (), ("Folk",)]
    assert class_names(TRACKS, "multiclass") == ["Folk", "Rock"]
    assert class_names(TRACKS, "multilabel") == ["Folk", "Punk", "Rock"]


def test_labels_are_positions_or_memberships() -> None:
    assert label_array([TRACKS[0], TRACKS[2]], ["Folk", "Rock"]).tolist() == [1, 0]
    memberships = label_array(TRACKS, ["Folk", "Punk", "Rock"], "multilabel")
    assert memberships.tolist() == [[0, 1, 1], [1, 1, 1], [1, 0, 0]]
    assert class_counts(TRACKS, ["Folk", "Punk", "Rock"], "multilabel") == [2, 2, 2]
    assert class_counts([TRACKS[0]], ["Folk", "Rock"]) == [0, 1]


def test_weights_draw_each_genre_alike() -> None:
    labels = np.array([0, 0, 0, 1])
    weights = balanced_weights(labels)
    assert weights.sum() == pytest.approx(1)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    # A genre of one track, a genre of all: the rare one makes its track likelier.
    rare = balanced_weights(np.array([[1, 1], [1, 0], [1, 0]]))
    assert rare[0] > rare[1] == rare[2]
