"""Compute spectral contrast and spectral centroid of the frames of a waveform."""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

N_OCTAVES: Final = 6
"""Octaves above LOWEST_EDGE, the last without an upper edge. With the band below them, seven bands as in the paper."""

LOWEST_EDGE: Final = 200.0
"""Upper edge of the lowest band, Hz."""

_QUANTILE: Final = 0.02
"""Part of the bins of a band, 0 to 1, that are its peaks, and the part that are its valleys; librosa's default."""

_RANGE_DB: Final = 80.0
"""Range below the loudest peak, or valley, of a track; librosa's default."""

_MIN_MAGNITUDE: Final = 1e-10
"""Lower limit of a magnitude before the logarithm, and of a divisor."""


class SpectralShape(NamedTuple):
    """Peaks, valleys and centroid of the spectra of f frames, in k bands.

    Attributes:
        peaks: Mean magnitude of the strongest bins of each band, dB, shape (k, f).
        valleys: Mean magnitude of the weakest bins of each band, dB, shape (k, f).
        centroid: Mean frequency, weighted by magnitude, Hz, shape (1, f); 0 in a silent frame.
    """

    peaks: Tensor
    valleys: Tensor
    centroid: Tensor


def spectral_shape(waveform: Tensor, sample_rate: int, n_fft: int, hop_length: int) -> SpectralShape:
    """Compute the values that determine spectral contrast and centroid, for each frame of a waveform.

    Frames are centred and have a Hann window. The waveform is mirrored beyond its ends.

    Args:
        waveform: Samples, full scale 1, shape (n,), n at least n_fft.
        sample_rate: Sample rate, Hz.
        n_fft: Length of a frame, samples.
        hop_length: Samples from one frame to the next.

    Returns:
        Peaks and valleys, shape (k, f), and centroid, shape (1, f), f = n // hop_length + 1.

    Reference:
        D.-N. Jiang et al., "Music type classification by spectral contrast feature", ICME 2002.
    """
    window = torch.hann_window(n_fft)
    magnitude = torch.stft(waveform, n_fft, hop_length, window=window, pad_mode="reflect", return_complex=True).abs()
    frequency = torch.linspace(0, sample_rate / 2, len(magnitude))[:, None]
    centroid = (frequency * magnitude).sum(0, keepdim=True) / magnitude.sum(0, keepdim=True).clamp_min(_MIN_MAGNITUDE)
    pairs = [_extremes(magnitude[first:end], count) for first, end, count in bands(sample_rate, n_fft)]
    peaks, valleys = (_decibels(torch.stack(rows)) for rows in zip(*pairs, strict=True))
    return SpectralShape(peaks, valleys, centroid)


def spectral_contrast(peaks: Tensor, valleys: Tensor) -> Tensor:
    """Compute the spectral contrast of a track.

    Args:
        peaks: Peaks of all its frames, dB, shape (k, f).
        valleys: Valleys of all its frames, dB, shape (k, f).

    Returns:
        Contrast, dB, shape (k, f).
    """
    return peaks.clamp_min(peaks.max() - _RANGE_DB) - valleys.clamp_min(valleys.max() - _RANGE_DB)


def bands(sample_rate: int, n_fft: int) -> list[tuple[int, int, int]]:
    """Return the bands of the contrast: only octaves that begin below half the sample rate.

    Args:
        sample_rate: Sample rate, Hz.
        n_fft: Length of a frame, samples.

    Returns:
        For each band: its first bin, the bin after its last one, and the number of bins that are peaks.
    """
    width = sample_rate / n_fft
    edges = [LOWEST_EDGE * 2**octave for octave in range(N_OCTAVES) if LOWEST_EDGE * 2**octave < sample_rate / 2]
    # As in librosa: a band includes the bin below its lower edge. It excludes its last bin, which only counts for the
    # number of peaks, unless the band has no upper edge.
    firsts = [0, *(math.ceil(edge / width) - 1 for edge in edges)]
    ends = [math.floor(edge / width) for edge in edges]
    counts = [end - first + 1 for first, end in zip(firsts, ends, strict=False)]
    ends.append(n_fft // 2 + 1)
    counts.append(ends[-1] - firsts[-1])
    return [
        (first, max(end, first + 1), max(1, round(_QUANTILE * count)))
        for first, end, count in zip(firsts, ends, counts, strict=True)
    ]


def _extremes(band: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean of the strongest and of the weakest bins of a band, shape (m, f), in each frame; shapes (f,)."""
    ordered = band.sort(0).values
    return ordered[-count:].mean(0), ordered[:count].mean(0)


def _decibels(magnitude: Tensor) -> Tensor:
    # As in librosa, magnitudes are treated like powers, so these are half of the usual decibels.
    return 10 * magnitude.clamp_min(_MIN_MAGNITUDE).log10()
