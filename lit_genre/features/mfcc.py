"""Compute statistics over time of MFCCs and of the spectral shape of a track."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from nnAudio.utils import get_mel
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

_RANGE_DB: Final = 80.0
"""Range below the loudest mel band of a block; librosa's default."""

_MIN_POWER: Final = 1e-10
"""Lower limit of the power in a mel band before the logarithm; librosa's default."""

_DELTA_FRAMES: Final = 5
"""Length of the line that is fitted around each frame, frames; HTK's default."""

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
        self._sample_rate, self._features = sample_rate, features
        self._block = round(TRACK_SECONDS * sample_rate)
        # The mel bands are librosa's, which the authors used. The hop is that of the networks' spectrograms.
        self._mel_bands = torch.from_numpy(get_mel(sample_rate, _N_FFT, n_mels=128))

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
        waveforms = map(_padded_waveform, blocks)
        parts = [(mfccs(waveform, self._mel_bands), self._spectral_shape(waveform)) for waveform in waveforms]
        mfcc = torch.cat([part for part, _ in parts], dim=1)
        series = [mfcc, deltas(mfcc)]
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


def mfccs(waveform: Tensor, mel_bands: Tensor) -> Tensor:
    """Compute mel-frequency cepstral coefficients (MFCCs).

    Frames are centred and have a Hann window. The waveform is mirrored beyond its ends.

    Args:
        waveform: Samples, full scale 1, shape (n,), n at least 2048.
        mel_bands: Weight of each bin of the spectrum in each mel band, shape (m, 1025).

    Returns:
        The first 20 coefficients of the orthonormal cosine transform of the mel bands in dB, float32, shape (20, f),
        f = n // 1024 + 1.

    Reference:
        S. B. Davis and P. Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition in
        Continuously Spoken Sentences", IEEE Transactions on Acoustics, Speech, and Signal Processing 28 (4), 1980.
    """
    from scipy.fft import dct

    window = torch.hann_window(_N_FFT)
    spectrum = torch.stft(waveform, _N_FFT, _HOP, window=window, pad_mode="reflect", return_complex=True)
    decibels = 10 * (mel_bands @ spectrum.abs().square()).clamp_min(_MIN_POWER).log10()
    decibels = decibels.clamp_min(decibels.max() - _RANGE_DB)
    return torch.from_numpy(dct(decibels.numpy(), axis=0, norm="ortho")[:N_MFCC])


def deltas(series: Tensor) -> Tensor:
    """Compute the rate of change of each feature: the slope of a line that is fitted to five frames.

    Args:
        series: Values of d features in f frames, shape (d, f). The first and the last frame are repeated beyond the
            ends.

    Returns:
        Slopes, per frame, shape (d, f).

    Reference:
        S. Furui, "Speaker-independent isolated word recognition using dynamic features of speech spectrum", IEEE
        Transactions on Acoustics, Speech, and Signal Processing 34 (1), 1986.

    >>> deltas(torch.arange(6.0)[None])
    tensor([[0.5000, 0.8000, 1.0000, 1.0000, 0.8000, 0.5000]])
    """
    from scipy.signal import savgol_filter

    # A filter of Savitzky and Golay with a polynomial of degree 1 fits this line.
    return torch.from_numpy(savgol_filter(series.numpy(), _DELTA_FRAMES, polyorder=1, deriv=1, mode="nearest"))


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
