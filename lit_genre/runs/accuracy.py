"""The accuracy of a test with its confidence interval, in which the tracks of an artist are one cluster."""

import csv
from collections.abc import Sequence
from typing import Final, NamedTuple

from lit_genre.cluster_statistics import accuracy_interval
from lit_genre.runs.folder import RunFolder

TEST_COLUMNS: Final = ("track_id", "genre", "predicted", "artist_id")
"""Columns of test.csv before those of the genres."""

UNKNOWN_ARTIST: Final = -1
"""Id of the artist of a track without one."""

ENOUGH_TRACKS: Final = 100
"""Test tracks from which the interval of an accuracy is narrower than about 20 points."""

ENOUGH_ARTISTS: Final = 20
"""Test artists from which the standard error by artists is known well enough."""


class ScoredTracks(NamedTuple):
    """The tracks of a multiclass test.

    Attributes:
        correct: Whether the prediction of each track is right.
        clusters: Cluster of each track, as `artist_clusters` returns it.
    """

    correct: list[bool]
    clusters: list[int]


def artist_clusters(artist_ids: Sequence[int]) -> list[int]:
    """Return the cluster of each track: its artist, or the track itself if its artist is unknown.

    Args:
        artist_ids: Id of the artist of each track, `UNKNOWN_ARTIST` if it is unknown.

    Returns:
        A number for each track; equal numbers are one cluster.

    >>> artist_clusters([7, -1, 7, -1])
    [7, -3, 7, -5]
    """
    # Ids of artists are not negative, so these numbers are free.
    return [-2 - position if artist == UNKNOWN_ARTIST else artist for position, artist in enumerate(artist_ids)]


def read_tested(folder: RunFolder) -> ScoredTracks | None:
    """Read the test of a run.

    Args:
        folder: Folder of a tested run.

    Returns:
        The tracks; None in the multilabel task, or without a track.

    Raises:
        OSError: There is no test.csv, or it cannot be read.
        ValueError: It is damaged.
    """
    with folder.test_table.open(newline="", encoding="utf-8") as file:
        # By position, not by name: a genre may have the name of another column.
        rows = [row[1 : len(TEST_COLUMNS)] for row in list(csv.reader(file))[1:]]
    if not rows or folder.genres_table.is_file():
        return None
    correct = [genre == predicted for genre, predicted, _ in rows]
    return ScoredTracks(correct, artist_clusters([int(artist) for *_, artist in rows]))


def warn_of_few(tested: ScoredTracks) -> str:
    """Return a hint if a test has too few tracks or artists to compare models; "" if it has enough.

    Args:
        tested: The tracks, at least one.
    """
    n, n_clusters = len(tested.correct), len(set(tested.clusters))
    if n >= ENOUGH_TRACKS and n_clusters >= ENOUGH_ARTISTS:
        return ""
    low, high = accuracy_interval(tested.correct, tested.clusters)
    few = f"{n} tracks" if n < ENOUGH_TRACKS else f"tracks of {n_clusters} artists"
    return (
        f"The test has only {few}: the 95 % interval is {100 * (high - low):.0f} points wide. To test all tracks, use "
        "cross-validation: lit-genre compare --folds 5."
    )


def describe_accuracy(tested: ScoredTracks, of: str = "") -> str:
    """Return an accuracy in words.

    Args:
        tested: The tracks, at least one.
        of: Name of the data, or "".

    Returns:
        Such as "45.1 % of 800 tracks by 320 artists (95 % interval 40.2 to 50.1 %)".
    """
    n, n_clusters = len(tested.correct), len(set(tested.clusters))
    low, high = accuracy_interval(tested.correct, tested.clusters)
    # Without a known artist, each track is a cluster.
    artists = f" by {n_clusters:,} artists" if any(cluster >= 0 for cluster in tested.clusters) else ""
    data = f" of {of}" if of else ""
    return f"{sum(tested.correct) / n:.1%} of {n:,} tracks{data}{artists} (95 % interval {low:.1%} to {high:.1%})"
