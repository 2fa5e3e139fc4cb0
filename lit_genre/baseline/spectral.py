"""Spectral contrast and spectral centroid of a waveform, frame by frame, in torch."""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

N_OCTAVES: Final = 6
"""Octaves above LOWEST_EDGE, the last without an upper end; with the band below them seven bands, as in the paper."""

LOWEST_EDGE: Final = 200.0
"""Upper end of the lowest band, Hz."""

_QUANTILE: Final = 0.02
"""Part of the bins of a band that counts as its peaks, and as its valleys."""

_RANGE_DB: Final = 80.0
"""Range that is kept below the loudest peak, or valley, of a track."""

_LEAST: Final = 1e-10


class SpectralShape(NamedTuple):
    """The spectra of f frames in a few numbers each.

    Attributes:
        peaks: Mean magnitude of the strongest bins of each band, dB, shape (k, f).
        valleys: The same of the weakest, dB, shape (k, f).
        centroid: Mean frequency, weighted by magnitude, Hz, shape (1, f); 0 in silence.
    """

    peaks: Tensor
    valleys: Tensor
    centroid: Tensor


def spectral_shape(waveform: Tensor, sample_rate: int, n_fft: int, hop_length: int) -> SpectralShape:
    """Compute contrast and centroid of the frames of a waveform.

    Frames are centred, in a Hann window, with the waveform mirrored beyond its ends.

    Args:
        waveform: Shape (n,), at least n_fft samples.
        sample_rate: Hz.
        n_fft: Length of a frame, samples.
        hop_length: Samples from one frame to the next.

    Reference:
        D.-N. Jiang et al., "Music type classification by spectral contrast feature", ICME 2002.
    """
    window = torch.hann_window(n_fft)
    magnitude = torch.stft(waveform, n_fft, hop_length, window=window, pad_mode="reflect", return_complex=True).abs()
    frequency = torch.linspace(0, sample_rate / 2, len(magnitude))[:, None]
    centroid = (frequency * magnitude).sum(0, keepdim=True) / magnitude.sum(0, keepdim=True).clamp_min(_LEAST)
    pairs = [_extremes(magnitude[first:end], count) for first, end, count in bands(sample_rate, n_fft)]
    peaks, valleys = (_decibels(torch.stack(rows)) for rows in zip(*pairs, strict=True))
    return SpectralShape(peaks, valleys, centroid)


def contrast(peaks: Tensor, valleys: Tensor) -> Tensor:
    """Compute the spectral contrast of a track, dB, from peaks and valleys of all its frames; shapes (k, f)."""
    return peaks.clamp_min(peaks.max() - _RANGE_DB) - valleys.clamp_min(valleys.max() - _RANGE_DB)


def bands(sample_rate: int, n_fft: int) -> list[tuple[int, int, int]]:
    """List the bands of the contrast, of as many octaves as begin below half the sample rate.

    Returns:
        For each band its first bin, the bin behind its last, and the number of bins that count as peaks.
    """
    width = sample_rate / n_fft
    edges = [LOWEST_EDGE * 2**octave for octave in range(N_OCTAVES) if LOWEST_EDGE * 2**octave < sample_rate / 2]
    # As librosa cuts them: a band takes in the bin below its lower edge, and leaves out the last one, which only counts
    # for the number of peaks, unless it has no upper edge.
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
    """Average the strongest and the weakest bins of a band, shape (m, f), in each frame; shapes (f,)."""
    ordered = band.sort(0).values
    return ordered[-count:].mean(0), ordered[:count].mean(0)


def _decibels(magnitude: Tensor) -> Tensor:
    # Of magnitudes as if they were powers, as librosa has it: half of the usual decibels.
    return 10 * magnitude.clamp_min(_LEAST).log10()
