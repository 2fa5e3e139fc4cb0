from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lit_genre.audit.label_noise import label_noise, read_predictions
from lit_genre.audit.out_of_fold import assign_folds, out_of_fold
from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError

GENRES = ("Folk", "Pop", "Rock")


def track(track_id: int, genre: str, artist_id: int) -> Track:
    return Track(track_id, "train", genre, (genre,), "", artist_id, "", -1)


def noisy(n_artists: int = 30, per_artist: int = 5) -> tuple[list[Track], dict[int, NDArray[np.float32]], set[int]]:
    """Clouds that overlap, with one label in fifteen swapped."""
    rng = np.random.default_rng(0)
    tracks, timbre = [], {}
    for number in range(n_artists * per_artist):
        artist = number // per_artist
        genre = artist % len(GENRES)
        timbre[number] = (rng.standard_normal(8) + 3 * np.eye(8)[genre]).astype(np.float32)
        swapped = number % 15 == 7
        tracks.append(track(number, GENRES[(genre + swapped) % len(GENRES)], artist))
    return tracks, timbre, set(range(7, n_artists * per_artist, 15))


def test_swapped_labels_lead_the_list() -> None:
    tracks, timbre, swapped = noisy()
    found = label_noise(tracks, out_of_fold(tracks, timbre, folds=5, seed=0))
    first = swapped & set(found.index[: len(swapped)])
    # Far from one in fifteen, which is chance.
    assert len(first) >= 0.5 * len(swapped)
    assert len(first) >= 0.8 * len(found)
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    assert found["margin"].is_monotonic_decreasing
    for track_id in first:
        assert found.loc[track_id, "suggested"] == GENRES[track_id // 5 % 3]


def test_the_same_seed_judges_alike_and_each_track_once() -> None:
    tracks, timbre, _ = noisy()
    first, second = (out_of_fold(tracks, timbre, folds=4, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert first.index.tolist() == list(range(len(tracks)))
    assert np.allclose(first.sum(axis=1), 1)


def test_no_artist_is_in_two_folds_and_each_genre_is_in_several() -> None:
    tracks, _, _ = noisy()
    folds = assign_folds(tracks, 5, seed=1)
    of_artist = {(track.artist_id, fold) for track, fold in zip(tracks, folds, strict=True)}
    assert len(of_artist) == 30
    for genre in GENRES:
        assert len({fold for track, fold in zip(tracks, folds, strict=True) if track.genre_top == genre}) == 5
    # Unknown artists are not one artist.
    assert len(set(assign_folds([track(i, "Folk", -1) for i in range(10)], 5, seed=0))) == 5


def test_what_cannot_be_judged_is_left_out() -> None:
    tracks, timbre, _ = noisy()
    extra = [track(900, "Only", 99), track(901, "Only", 99), track(902, "", 98), track(903, "Folk", 97)]
    timbre |= {track_id: np.zeros(8, dtype=np.float32) for track_id in (900, 901, 902)}
    assert out_of_fold(tracks + extra, timbre, 5, 0).index.tolist() == list(range(len(tracks)))
    assert out_of_fold(extra, timbre, 5, 0).empty
    assert out_of_fold([], {}, 5, 0).empty


def test_a_genre_is_suggested_by_its_own_standard() -> None:
    tracks = [track(1, "Folk", 1), track(2, "Folk", 2), track(3, "Rock", 3), track(4, "Rock", 4), track(5, "Rock", 5)]
    # Folk counts from 0.5 on, Rock from 0.6 on: track 2 is doubtful, 4 is not Folk enough, 5 is Folk and no less Rock.
    probs = pd.DataFrame(
        {"Folk": [0.9, 0.1, 0.1, 0.45, 0.5], "Rock": [0.1, 0.9, 0.9, 0.4, 0.5]}, index=pd.Index(range(1, 6))
    )
    found = label_noise(tracks, probs)
    assert found.index.tolist() == [2]
    assert found.loc[2].to_dict() == {
        "rank": 1, "probability": 0.1, "suggested": "Rock", "suggested_probability": 0.9, "margin": 0.8
    }  # fmt: skip
    assert label_noise(tracks, probs.iloc[:0]).empty


def test_predictions_of_a_run_are_read_where_they_apply(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text(
        "track_id,genre,predicted,artist_id,Folk,Punk,Rock\n1,Folk,Rock,-1,0.2,0.1,0.7\n9,Rock,Rock,-1,0,0,1\n"
    )
    probs = read_predictions(path, [track(1, "Folk", 1), track(2, "Rock", 1)])
    assert probs.to_dict("index") == {1: {"Folk": 0.2, "Rock": 0.7}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,genre\n1,Folk\n", "its columns begin with id, genre"),
        ("track_id,genre,predicted,artist_id,Folk\n1,Folk,Folk,-1,much\n", "could not convert"),
        ("track_id,genre,predicted,artist_id,Folk\n1,Folk,Folk,-1,nan\n", "not between 0 and 1"),
        ("track_id,genre,predicted,artist_id,Folk\n1,Folk,Folk,-1,1\n1,Folk,Folk,-1,1\n", "in two rows"),
        ("track_id,genre,predicted,artist_id,Folk\n7,Folk,Folk,-1,1\n", "none of these tracks"),
        ("track_id,genre,predicted,artist_id,Rock\n1,Folk,Rock,-1,1\n", "no column Folk"),
        ("", "No columns"),
    ],
)
def test_what_is_no_prediction_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(LitGenreError, match=said) as error:
        read_predictions(path, [track(1, "Folk", 1)])
    assert str(path) in str(error.value)
