"""Compute statistics over time of MFCCs and of the spectral shape of a track."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_genre.batch import TRACK_SECONDS
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.features import Features
from lit_genre.features.spectral import SpectralShape, spectral_contrast, spectral_shape
from lit_genre.parallel import map_threads

N_MFCC: Final = 20
"""FMA's authors used 20 MFCCs."""

_N_FFT: Final = 2048
_HOP: Final = _N_FFT // 2

_MIN_DEVIATION: Final = 1e-6
"""Standard deviation below which a feature counts as constant; its skewness and kurtosis are then not divided by 0."""


class MFCCStatistics:
    """Seven statistics over time of each of 20 MFCCs, of their deltas, and of spectral contrast and centroid.

    FMA's authors trained an SVM on those of the MFCCs, the contrast and the centroid. The deltas add the rate of
    change. A track is processed block by block, so that a long one takes little more memory than a short one.

    Args:
        sample_rate: Sample rate, Hz.
        features: "mfcc" for MFCCs and their deltas, d = 40. "mfcc+spectral" for spectral contrast, of up to seven
            bands, and spectral centroid as well, d up to 48.

    Reference:
        M. Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017.
    """

    def __init__(self, sample_rate: int, features: Features = "mfcc") -> None:
        from torchaudio.transforms import MFCC

        self._sample_rate, self._features = sample_rate, features
        self._block = round(TRACK_SECONDS * sample_rate)
        # The mel bands are librosa's, which the authors used. The hop is that of the networks' spectrograms.
        mel = {"n_fft": _N_FFT, "hop_length": _HOP, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney"}
        self._mfcc: Any = MFCC(sample_rate, n_mfcc=N_MFCC, melkwargs=mel)

    def compute_all(self, dataset: ClipDataset, description: str) -> NDArray[np.float32]:
        """Compute the statistics of each track of a data set in threads.

        Args:
            dataset: Data set of t tracks.
            description: Text of the progress bar.

        Returns:
            Statistics, shape (t, 7 d).
        """
        rows = map_threads(
            lambda position: self.compute(self._blocks(dataset, position)).reshape(-1),
            range(len(dataset)),
            description,
        )
        return np.stack(rows)

    def compute(self, blocks: Iterable[NDArray[np.int16]]) -> NDArray[np.float32]:
        """Compute the statistics of a track.

        Args:
            blocks: Samples of the track, shape (n,), int16 PCM, in blocks of any length.

        Returns:
            Statistics in the order of `statistics`, shape (7, d).
        """
        from torchaudio.functional import compute_deltas

        waveforms = map(_padded_waveform, blocks)
        parts = [(self._mfcc(waveform), self._spectral_shape(waveform)) for waveform in waveforms]
        mfcc = torch.cat([part for part, _ in parts], dim=1)
        series = [mfcc, compute_deltas(mfcc)]
        if shapes := [shape for _, shape in parts if shape is not None]:
            peaks, valleys, centroid = (torch.cat(columns, dim=1) for columns in zip(*shapes, strict=True))
            # The contrast is limited relative to the loudest frame of the whole track, so the blocks are joined first.
            series += [spectral_contrast(peaks, valleys), centroid]
        values: NDArray[np.float32] = statistics(torch.cat(series)).numpy()
        return values

    def _spectral_shape(self, waveform: Tensor) -> SpectralShape | None:
        if self._features == "mfcc":
            return None
        return spectral_shape(waveform, self._sample_rate, _N_FFT, _HOP)

    def _blocks(self, dataset: ClipDataset, position: int) -> Iterator[NDArray[np.int16]]:
        track_id, n_samples = int(dataset.track_ids[position]), int(dataset.n_samples[position])
        # Blocks of equal length: a short last block would consist mostly of frames with mirrored samples.
        count = math.ceil(n_samples / self._block)
        for start, end in pairwise(np.linspace(0, n_samples, count + 1).astype(int).tolist()):
            pcm = np.empty(end - start, dtype=np.int16)
            yield pcm[: dataset.source.read(track_id, start, pcm)]


def statistics(series: Tensor) -> Tensor:
    """Compute seven statistics over time of each feature.

    Args:
        series: Values of d features in f frames, shape (d, f).

    Returns:
        Mean, standard deviation, skewness, excess kurtosis, median, minimum and maximum, shape (7, d). Skewness and
        kurtosis of a constant feature are 0 and -3.
    """
    deviation, mean = torch.std_mean(series, dim=1, correction=0, keepdim=True)
    scaled = (series - mean) / deviation.clamp_min(_MIN_DEVIATION)
    moments = (scaled.pow(3).mean(1), scaled.pow(4).mean(1) - 3)
    order_statistics = (series.median(1).values, series.amin(1), series.amax(1))
    return torch.stack([mean[:, 0], deviation[:, 0], *moments, *order_statistics])


def _padded_waveform(pcm: NDArray[np.int16]) -> Tensor:
    """Return a block as a waveform of full scale 1, padded with zeros to at least one frame."""
    waveform = torch.zeros(max(len(pcm), _N_FFT))
    waveform[: len(pcm)] = torch.from_numpy(pcm) / INT16_SCALE
    return waveform
