"""Statistics of MFCCs and other values over time: how a track sounds, as a row of numbers."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.baseline.spectral import SpectralShape, contrast, spectral_shape
from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.parallel import map_threads

Features = Literal["mfcc", "mfcc+spectral"]

N_MFCC: Final = 20
_N_FFT: Final = 2048
_HOP: Final = _N_FFT // 2
_TINY: Final = 1e-6
"""Deviation below which an MFCC counts as constant."""


class MFCCStatistics:
    """Seven statistics over time of each of 20 MFCCs, of their deltas, and of spectral contrast and centroid.

    FMA's authors gave those of the MFCCs, the contrast and the centroid to an SVM; those of the deltas add what changes
    how fast. A track is decoded from beginning to end, block by block, so that a long one takes little more memory than
    a short one.

    Args:
        sample_rate: Hz.
        features: "mfcc" for MFCCs and their deltas, "mfcc+spectral" for spectral contrast, of up to seven bands, and
            spectral centroid as well.

    Reference:
        M. Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017.
    """

    def __init__(self, sample_rate: int, features: Features = "mfcc") -> None:
        from torchaudio.transforms import MFCC

        self._sample_rate, self._features = sample_rate, features
        self._block = round(TRACK_SECONDS * sample_rate)
        # librosa's mel bands, as the authors had them, at the hop of the networks' spectrograms.
        mel = {"n_fft": _N_FFT, "hop_length": _HOP, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney"}
        self._mfcc: Any = MFCC(sample_rate, n_mfcc=N_MFCC, melkwargs=mel)

    def of_tracks(self, dataset: ClipDataset, description: str) -> NDArray[np.float32]:
        """Hear each track of a data set in a thread of its own; shape (t, d)."""
        rows = map_threads(lambda place: self(self._blocks(dataset, place)), range(len(dataset)), description)
        return np.stack(rows)

    def __call__(self, blocks: Iterable[NDArray[np.int16]]) -> NDArray[np.float32]:
        """Sum up a track, int16 PCM in blocks of any length; shape (d,)."""
        from torchaudio.functional import compute_deltas

        waveforms = map(_padded, blocks)
        parts = [(self._mfcc(waveform), self._shape(waveform)) for waveform in waveforms]
        mfcc = torch.cat([part for part, _ in parts], dim=1)
        courses = [mfcc, compute_deltas(mfcc)]
        if shapes := [shape for _, shape in parts if shape is not None]:
            peaks, valleys, centroid = (torch.cat(columns, dim=1) for columns in zip(*shapes, strict=True))
            courses += [contrast(peaks, valleys), centroid]
        row: NDArray[np.float32] = statistics(torch.cat(courses)).numpy()
        return row

    def _shape(self, waveform: Tensor) -> SpectralShape | None:
        if self._features == "mfcc":
            return None
        return spectral_shape(waveform, self._sample_rate, _N_FFT, _HOP)

    def _blocks(self, dataset: ClipDataset, place: int) -> Iterator[NDArray[np.int16]]:
        track_id, n_samples = int(dataset.track_ids[place]), int(dataset.n_samples[place])
        count = math.ceil(n_samples / self._block)
        for start, end in pairwise(np.linspace(0, n_samples, count + 1).astype(int).tolist()):
            pcm = np.empty(end - start, dtype=np.int16)
            yield pcm[: dataset.source.read(track_id, start, pcm)]


def statistics(courses: Tensor) -> Tensor:
    """Sum up the courses of values over time, shape (d, f), by their statistics, shape (7 d,).

    Mean, deviation, skewness, excess kurtosis, median, least and greatest value.
    """
    deviation, mean = torch.std_mean(courses, dim=1, correction=0, keepdim=True)
    scaled = (courses - mean) / deviation.clamp_min(_TINY)
    shape = (scaled.pow(3).mean(1), scaled.pow(4).mean(1) - 3)
    span = (courses.median(1).values, courses.amin(1), courses.amax(1))
    return torch.cat([mean[:, 0], deviation[:, 0], *shape, *span])


def _padded(pcm: NDArray[np.int16]) -> Tensor:
    """Bring a block to full scale 1, and to a length that has a frame."""
    waveform = torch.zeros(max(len(pcm), _N_FFT))
    waveform[: len(pcm)] = torch.from_numpy(pcm) / INT16_SCALE
    return waveform
