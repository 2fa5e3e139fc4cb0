"""Compute statistics of each track of a store: level, timbre features, and a hash of the samples."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.store.pcm import AudioSource
from lit_genre.features.mfcc import MFCCStatistics
from lit_genre.parallel import map_threads

_MIN_POWER: Final = 1e-10
"""Power of digital silence in decibels: without it, the level would be infinite. It corresponds to -100 dB."""


class TrackStatistics(NamedTuple):
    """Statistics of a track.

    Attributes:
        rms_db: Root mean square of its samples, dB of full scale; a full-scale sine has -3 dB.
        silent_share: Part of its seconds, 0 to 1, that are below the level of silence.
        digest: SHA-256 of its samples.
        timbre: Mean and standard deviation over time of 20 MFCCs and of their deltas, in the middle 30 s of the track,
            shape (80,), float32.
    """

    rms_db: float
    silent_share: float
    digest: bytes
    timbre: NDArray[np.float32]


class TrackAnalyzer:
    """Computes the statistics of tracks block by block, so that a long track takes no more memory than a short one.

    Args:
        source: Source of the samples.
        sample_rate: Sample rate of the samples, Hz.
        silent_db: Level below which a second counts as silent, dB of full scale.
    """

    def __init__(self, source: AudioSource, sample_rate: int, silent_db: float) -> None:
        self._source = source
        self._sample_rate = sample_rate
        self._silent_db = silent_db
        self._block = round(TRACK_SECONDS) * sample_rate
        self._mfcc = MFCCStatistics(sample_rate)

    def analyze_all(self, track_ids: Iterable[int]) -> dict[int, TrackStatistics]:
        """Compute the statistics of tracks in threads, with a progress bar.

        Args:
            track_ids: Ids of usable tracks of the source.

        Returns:
            Statistics, by track id.
        """
        track_ids = list(track_ids)
        return dict(zip(track_ids, map_threads(self.analyze, track_ids, "Analysing tracks"), strict=True))

    def analyze(self, track_id: int) -> TrackStatistics:
        """Compute the statistics of a track.

        Args:
            track_id: Id of a usable track of the source.

        Returns:
            Its statistics.
        """
        n_samples = self._source.entries[track_id].n_samples
        digest, sums, counts = hashlib.sha256(), [], []
        for start in range(0, n_samples, self._block):
            pcm = self._read(track_id, start)
            digest.update(pcm.data)
            # A block has whole seconds; only the last second of a track may be shorter.
            seconds = np.arange(0, len(pcm), self._sample_rate)
            sums.append(np.add.reduceat(np.square(pcm / INT16_SCALE), seconds))
            counts.append(np.diff(seconds, append=len(pcm)))
        energy, length = np.concatenate(sums), np.concatenate(counts)
        silent = _db(energy / length) < self._silent_db
        # The middle of a track is more typical than its beginning.
        middle = self._read(track_id, max(0, (n_samples - self._block) // 2))
        # Only mean and standard deviation: the linear classifier of `out_of_fold` then has 80 features instead of 280.
        timbre = self._mfcc.compute([middle])[:2].reshape(-1)
        return TrackStatistics(float(_db(energy.sum() / length.sum())), float(silent.mean()), digest.digest(), timbre)

    def _read(self, track_id: int, start: int) -> NDArray[np.int16]:
        out = np.empty(self._block, dtype=np.int16)
        return out[: self._source.read(track_id, start, out)]


def _db(power: Any) -> Any:
    return 10 * np.log10(np.maximum(power, _MIN_POWER))
