"""Report tracks that cannot be used or were decoded only in part, and refuse data of which too much is missing."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lit_genre.batch import Task
from lit_genre.console import console
from lit_genre.data.metadata.labels import class_names, genres_of
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.data.store.index import Entry, Index
from lit_genre.errors import LitGenreError
from lit_genre.text import one_line

_MAX_TRACKS_SHOWN: Final = 10
"""Tracks that a report names; index.csv has all of them."""

_MAX_GENRES_SHOWN: Final = 8


def find_missing_tracks(index: Index, sample_rate: int, min_decoded_fraction: float) -> dict[int, str]:
    """Return why tracks cannot be used, by track id.

    Args:
        index: Index line of each track.
        sample_rate: Sample rate of the decoded audio, Hz.
        min_decoded_fraction: Least part of a track that must have been decoded, 0 to 1.
    """
    return {
        track_id: reason
        for track_id, entry in index.items()
        if (reason := _reason(entry, sample_rate, min_decoded_fraction))
    }


def _reason(entry: Entry, sample_rate: int, min_decoded_fraction: float) -> str:
    """Return why a track cannot be used, "" if it can."""
    # A track without any samples has a reason already.
    if entry.reason or entry.decoded_fraction(sample_rate) >= min_decoded_fraction:
        return entry.reason
    seconds = entry.n_samples / sample_rate
    return (
        f"only {seconds:.1f} of {seconds + entry.seconds_lost:.1f} s could be decoded, less than "
        f"min_decoded_fraction={min_decoded_fraction:g} of it"
    )


def report_missing_tracks(
    tracks: list[Track], missing: dict[int, str], track_name: Callable[[Track], str], index: Path
) -> None:
    """Print the tracks that cannot be used.

    Args:
        tracks: All tracks.
        missing: Why a track cannot be used, by track id.
        track_name: Returns the name of a track for messages.
        index: File that has the reason for each track, for the message.
    """
    if not missing:
        return
    for track in [track for track in tracks if track.track_id in missing][:_MAX_TRACKS_SHOWN]:
        console.print(one_line(f"Left out: {track_name(track)}, {missing[track.track_id]}"))
    console.print(f"Left out {len(missing)} of {len(tracks):,} tracks. The reason for each track is in {index}")


def check_missing_fraction(
    tracks: list[Track],
    missing: dict[int, str],
    track_name: Callable[[Track], str],
    audio_folder: Path,
    max_missing_fraction: float,
    hint: str,
) -> None:
    """Raise an error if too many tracks of a split cannot be used.

    Args:
        tracks: All tracks.
        missing: Why a track cannot be used, by track id.
        track_name: Returns the name of a track for messages.
        audio_folder: Folder of the audio, for the message.
        max_missing_fraction: Largest part of a split that may be missing, 0 to 1.
        hint: Instruction for the user that ends the message, without a full stop.

    Raises:
        LitGenreError: A larger part is missing.
    """
    for split in SPLITS:
        split_tracks = [track for track in tracks if track.split == split]
        unusable = [track for track in split_tracks if track.track_id in missing]
        if len(unusable) > max_missing_fraction * len(split_tracks):
            # Rounded up to two digits, so that the suggested value is accepted.
            suggestion = math.ceil(100 * len(unusable) / len(split_tracks)) / 100
            raise LitGenreError(
                f"{len(unusable)} of the {len(split_tracks):,} {split} tracks in {audio_folder} cannot be used, "
                f"more than {max_missing_fraction:.0%} ({track_name(unusable[0])}: {missing[unusable[0].track_id]}). "
                f"{hint}, or allow it with --data.max_missing_fraction={suggestion}."
            )


def report_incomplete_tracks(
    tracks: list[Track], entries: list[Entry], sample_rate: int, track_name: Callable[[Track], str], index: Path
) -> None:
    """Print how many of the used tracks could be decoded only in part.

    Args:
        tracks: All tracks.
        entries: Index lines of the tracks that are used.
        sample_rate: Sample rate of the decoded audio, Hz.
        track_name: Returns the name of a track for messages.
        index: File with the status of each track, for the message.
    """
    incomplete = [entry for entry in entries if entry.status != "complete"]
    if not incomplete:
        return
    tracks_by_id = {track.track_id: track for track in tracks}
    # The tracks with the most missing audio first: these are the ones to replace.
    worst_first = sorted(incomplete, key=lambda entry: -entry.seconds_lost)
    for entry in worst_first[:_MAX_TRACKS_SHOWN]:
        console.print(
            one_line(f"Decoded in part: {track_name(tracks_by_id[entry.track_id])}, {entry.describe(sample_rate)}")
        )
    counts = Counter(entry.status for entry in incomplete)
    console.print(
        f"Decoded in part: {counts['recovered']:,} of {len(entries):,} tracks recovered, {counts['truncated']:,} "
        f"truncated, {sum(entry.seconds_lost for entry in incomplete):.1f} s missing in all. The status of each track "
        f"is in {index}"
    )


def describe_absent_genres(tracks: list[Track], task: Task) -> str:
    """Return a message on genres without a track in a split, "" if there are none.

    A model cannot learn a genre that is absent from training, and a genre that is absent from test has no score.
    """
    present = {(genre, track.split) for track in tracks for genre in genres_of(track, task)}
    # A data set may have no validation split at all.
    splits = [split for split in SPLITS if any(track.split == split for track in tracks)]
    genres = class_names(tracks, task)
    absent = [f"{genre} ({split})" for genre in genres for split in splits if (genre, split) not in present]
    if not absent:
        return ""
    n_more = len(absent) - _MAX_GENRES_SHOWN
    more = f" and {n_more:,} more" if n_more > 0 else ""
    return f"Genres without a track in a split: {', '.join(absent[:_MAX_GENRES_SHOWN])}{more}."
