"""Faults of single clips: those that are next to silent, too short, or cannot be decoded at all."""

from statistics import median

import pandas as pd

from lit_genre.audit.listening import Heard
from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.store import Index


def near_silent(heard: dict[int, Heard], silent_db: float, silent_share: float) -> pd.DataFrame:
    """List the tracks that are quieter than `silent_db` as a whole, or in `silent_share` of their seconds, 0 to 1."""
    rows = [
        (track_id, round(one.rms_db, 1), round(one.silent_share, 3))
        for track_id, one in sorted(heard.items())
        if one.rms_db < silent_db or one.silent_share >= silent_share
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


def undecodable(index: Index) -> pd.DataFrame:
    """List the tracks without usable audio, and why."""
    rows = [(track_id, entry.reason) for track_id, entry in sorted(index.items()) if entry.reason]
    return pd.DataFrame(rows, columns=["track_id", "reason"]).set_index("track_id")
