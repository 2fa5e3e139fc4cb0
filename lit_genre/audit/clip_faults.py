"""Find single tracks with faults: nearly silent, too short, decoded only in part, or not usable."""

from statistics import median

import pandas as pd

from lit_genre.audit.track_statistics import TrackStatistics
from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.store.index import Index


def near_silent(statistics: dict[int, TrackStatistics], silent_db: float, silent_share: float) -> pd.DataFrame:
    """Find the tracks that are silent as a whole or for the most part.

    Args:
        statistics: Statistics of each track, by track id.
        silent_db: Root mean square, dB of full scale, below which a track counts as silent.
        silent_share: Part of the seconds of a track, 0 to 1, that must be silent.

    Returns:
        A row for each track found, indexed by `track_id`: root mean square, dB, and the part of silent seconds.
    """
    rows = [
        # Rounded, because people read the list.
        (track_id, round(track.rms_db, 1), round(track.silent_share, 3))
        for track_id, track in sorted(statistics.items())
        if track.rms_db < silent_db or track.silent_share >= silent_share
    ]
    return pd.DataFrame(rows, columns=["track_id", "rms_db", "silent_share"]).set_index("track_id")


def short(index: Index, sample_rate: int, short_share: float) -> pd.DataFrame:
    """Find the tracks that are shorter than expected.

    The expected length is that of FMA's clips, 30 s, or the median length of the tracks if that is less.

    Args:
        index: Index line of each track.
        sample_rate: Sample rate of the decoded audio, Hz.
        short_share: Part of the expected length, 0 to 1, below which a track is short.

    Returns:
        A row for each track found, indexed by `track_id`: its length and the expected length, s.
    """
    seconds = {track_id: entry.n_samples / sample_rate for track_id, entry in index.items() if not entry.reason}
    # In a data set of 10 s excerpts, an expected length of 30 s would list every track.
    expected = min(TRACK_SECONDS, median(seconds.values())) if seconds else TRACK_SECONDS
    rows = [
        (track_id, round(length, 2), round(expected, 2))
        for track_id, length in sorted(seconds.items())
        if length < short_share * expected
    ]
    return pd.DataFrame(rows, columns=["track_id", "seconds", "expected"]).set_index("track_id")


def incomplete(index: Index, sample_rate: int) -> pd.DataFrame:
    """Find the tracks that could be decoded only in part.

    Args:
        index: Index line of each track.
        sample_rate: Sample rate of the decoded audio, Hz.

    Returns:
        A row for each track found, indexed by `track_id`, those with the longest missing part first.
    """
    rows = [
        (track_id, entry.status, entry.seconds_lost, round(entry.decoded_fraction(sample_rate), 4))
        for track_id, entry in sorted(index.items(), key=lambda item: (-item[1].seconds_lost, item[0]))
        # Failed tracks are in the list of undecodable ones.
        if entry.status in ("recovered", "truncated")
    ]
    return pd.DataFrame(rows, columns=["track_id", "status", "seconds_lost", "decoded_fraction"]).set_index("track_id")


def undecodable(missing: dict[int, str]) -> pd.DataFrame:
    """Return a table of the tracks without usable audio.

    Args:
        missing: Reason by track id.

    Returns:
        A column `reason`, indexed by `track_id`.
    """
    return pd.DataFrame(sorted(missing.items()), columns=["track_id", "reason"]).set_index("track_id")


def damaged_samples(damaged: list[int], index: Index, sample_rate: int) -> pd.DataFrame:
    """Return a table of the tracks whose decoded samples differed from their checksum.

    Args:
        damaged: Ids of the tracks.
        index: The index after they were decoded again.
        sample_rate: Sample rate of the decoded audio, Hz.

    Returns:
        A row for each track, indexed by `track_id`: whether it was decoded again, and its length, s.
    """
    rows = [
        (track_id, not index[track_id].reason, round(index[track_id].n_samples / sample_rate, 2))
        for track_id in sorted(damaged)
    ]
    return pd.DataFrame(rows, columns=["track_id", "decoded_again", "seconds"]).set_index("track_id")
