"""Compute statistics of each track of a store: level, timbre features, and a hash of the samples."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.store.pcm import AudioSource
from lit_genre.parallel import map_threads

_N_FFT: Final = 2048
_N_MFCC: Final = 20
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
        from torchaudio.transforms import MFCC

        self._source = source
        self._sample_rate = sample_rate
        self._silent_db = silent_db
        self._block = round(TRACK_SECONDS) * sample_rate
        # 20 MFCCs from 64 mel bands, windows with half overlap: enough for a linear classifier, and fast.
        sizes = {"n_fft": _N_FFT, "hop_length": _N_FFT // 2, "n_mels": 64}
        self._mfcc: Any = MFCC(sample_rate, n_mfcc=_N_MFCC, melkwargs=sizes)

    def analyze_all(self, track_ids: Iterable[int]) -> dict[int, TrackStatistics]:
        """Compute the statistics of tracks in threads, with a progress bar; return them by track id."""
        track_ids = list(track_ids)
        return dict(zip(track_ids, map_threads(self.analyze, track_ids, "Analysing"), strict=True))

    def analyze(self, track_id: int) -> TrackStatistics:
        """Compute the statistics of a track."""
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
        return TrackStatistics(
            float(_db(energy.sum() / length.sum())), float(silent.mean()), digest.digest(), self._timbre(middle)
        )

    def _read(self, track_id: int, start: int) -> NDArray[np.int16]:
        out = np.empty(self._block, dtype=np.int16)
        return out[: self._source.read(track_id, start, out)]

    def _timbre(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        from torchaudio.functional import compute_deltas

        # A track shorter than one FFT window is padded with zeros.
        waveform = torch.zeros(max(len(pcm), _N_FFT))
        waveform[: len(pcm)] = torch.from_numpy(pcm) / INT16_SCALE
        mfcc = self._mfcc(waveform)
        features = torch.cat([mfcc, compute_deltas(mfcc)])
        timbre: NDArray[np.float32] = torch.cat([features.mean(1), features.std(1, correction=0)]).numpy()
        return timbre


def _db(power: Any) -> Any:
    return 10 * np.log10(np.maximum(power, _MIN_POWER))
