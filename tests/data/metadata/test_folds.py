"""Folds of a cross-validation: each track is tested once, and no artist is in two splits."""

import random
from collections import Counter

import pytest

from lit_genre.data.metadata.folds import Fold, assign_fold
from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError

N_FOLDS = 5


def track(number: int, genre: str, artist: int) -> Track:
    return Track(number, "train", genre, (genre,), f"{number}", artist, "", -1)


@pytest.fixture
def tracks() -> list[Track]:
    """Two genres of 40 artists with 1 to 5 tracks each, and 20 tracks of unknown artists."""
    chance = random.Random(0)
    artists = [(artist, f"genre {artist % 2}") for artist in range(40) for _ in range(chance.randint(1, 5))]
    artists += [(-1, f"genre {number % 2}") for number in range(20)]
    return [track(number, genre, artist) for number, (artist, genre) in enumerate(artists)]


def test_each_track_is_tested_once_and_no_artist_is_in_two_splits(tracks: list[Track]) -> None:
    tested: Counter[int] = Counter()
    for number in range(N_FOLDS):
        folded = assign_fold(tracks, Fold(number, N_FOLDS, 0))
        assert [done.track_id for done in folded] == [before.track_id for before in tracks]
        splits: dict[int, set[str]] = {}
        for done in folded:
            if done.artist_id >= 0:
                splits.setdefault(done.artist_id, set()).add(done.split)
        assert all(len(found) == 1 for found in splits.values())
        sizes = Counter(done.split for done in folded)
        assert 0.1 < sizes["test"] / len(tracks) < 0.3
        assert 0.05 < sizes["val"] / len(tracks) < 0.2
        tested.update(done.track_id for done in folded if done.split == "test")
    assert tested == Counter(before.track_id for before in tracks)


def test_a_fold_depends_on_tracks_and_seed_only(tracks: list[Track]) -> None:
    def splits(given: list[Track], seed: int) -> dict[int, str]:
        return {done.track_id: done.split for done in assign_fold(given, Fold(1, N_FOLDS, seed))}

    shuffled = random.Random(1).sample(tracks, len(tracks))
    assert splits(tracks, 0) == splits(shuffled, 0)
    assert splits(tracks, 0) != splits(tracks, 1)


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(5, 5, 0), "There is no fold 5 of 5. Set --data.fold to 0 to 4."),
        (Fold(0, 1, 0), "folds is 1, but must be at least 2"),
        (Fold(0, 60, 0), "The genre 'genre 0' has 30 artists, too few for 60 folds"),
    ],
)
def test_a_fold_that_cannot_be_is_refused(tracks: list[Track], fold: Fold, message: str) -> None:
    with pytest.raises(LitGenreError) as error:
        assign_fold(tracks, fold)
    assert message in str(error.value)
