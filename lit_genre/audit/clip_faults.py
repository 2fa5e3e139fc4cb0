"""Faults of single tracks: nearly silent, too short, decoded only in part, or not usable at all."""

from statistics import median

import pandas as pd

from lit_genre.audit.track_statistics import TrackStatistics
from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.store.pcm import Index


def near_silent(statistics: dict[int, TrackStatistics], silent_db: float, silent_share: float) -> pd.DataFrame:
    """List the tracks that are quieter than `silent_db` as a whole, or in `silent_share` of their seconds, 0 to 1."""
    rows = [
        (track_id, round(track.rms_db, 1), round(track.silent_share, 3))
        for track_id, track in sorted(statistics.items())
        if track.rms_db < silent_db or track.silent_share >= silent_share
    ]
    return pd.DataFrame(rows, columns=["track_id", "rms_db", "silent_share"]).set_index("track_id")


def short(index: Index, sample_rate: int, short_share: float) -> pd.DataFrame:
    """List the tracks shorter than `short_share` of what is expected: FMA's 30 s, or the median where that is less."""
    seconds = {track_id: entry.n_samples / sample_rate for track_id, entry in index.items() if not entry.reason}
    expected = min(TRACK_SECONDS, median(seconds.values())) if seconds else TRACK_SECONDS
    rows = [
        (track_id, round(length, 2), round(expected, 2))
        for track_id, length in sorted(seconds.items())
        if length < short_share * expected
    ]
    return pd.DataFrame(rows, columns=["track_id", "seconds", "expected"]).set_index("track_id")


def incomplete(index: Index, sample_rate: int) -> pd.DataFrame:
    """List the tracks of which a part could not be decoded, those with the longest such part first."""
    rows = [
        (track_id, entry.status, entry.seconds_lost, round(entry.decoded_fraction(sample_rate), 4))
        for track_id, entry in sorted(index.items(), key=lambda item: (-item[1].seconds_lost, item[0]))
        if entry.status in ("recovered", "truncated")
    ]
    return pd.DataFrame(rows, columns=["track_id", "status", "seconds_lost", "decoded_fraction"]).set_index("track_id")


def undecodable(missing: dict[int, str]) -> pd.DataFrame:
    """List the tracks without usable audio, and why."""
    return pd.DataFrame(sorted(missing.items()), columns=["track_id", "reason"]).set_index("track_id")


def damaged_samples(damaged: list[int], index: Index, sample_rate: int) -> pd.DataFrame:
    """List the tracks whose decoded samples differed from their checksum.

    Args:
        damaged: The tracks.
        index: The index after they were decoded again.
        sample_rate: Hz.
    """
    rows = [
        (track_id, not index[track_id].reason, round(index[track_id].n_samples / sample_rate, 2))
        for track_id in sorted(damaged)
    ]
    return pd.DataFrame(rows, columns=["track_id", "decoded_again", "seconds"]).set_index("track_id")
