"""The accuracy of a test in words, and the hint if the test is small."""

import pytest

from lit_genre.runs.accuracy import ScoredTracks, artist_clusters, describe_accuracy, warn_of_few


def test_artists_are_counted_if_they_are_known() -> None:
    known = ScoredTracks([True, False, True, True], artist_clusters([4, 4, 9, -1]))
    assert describe_accuracy(known, of="FMA small").startswith("75.0% of 4 tracks of FMA small by 3 artists (95 %")
    unknown = ScoredTracks([True, False], artist_clusters([-1, -1]))
    assert describe_accuracy(unknown).startswith("50.0% of 2 tracks (95 %")


@pytest.mark.parametrize(
    ("n_tracks", "n_artists", "hint"),
    [(80, 40, "only 80 tracks"), (200, 10, "only tracks of 10 artists"), (200, 40, "")],
)
def test_a_small_test_names_cross_validation(n_tracks: int, n_artists: int, hint: str) -> None:
    tested = ScoredTracks([n % 2 == 0 for n in range(n_tracks)], [n % n_artists for n in range(n_tracks)])
    found = warn_of_few(tested)
    assert hint in found
    assert ("--folds 5" in found) == bool(hint)
