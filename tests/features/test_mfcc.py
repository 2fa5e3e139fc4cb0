"""Statistics of MFCCs: their definition, tones and noise, and tracks in blocks."""

import librosa
import numpy as np
import pytest
import torch
from nnAudio.utils import get_mel
from numpy.typing import NDArray

from lit_genre.features.mfcc import N_MFCC, MFCCStatistics, deltas, mfccs, statistics
from tests.helpers.reference import import_torchaudio

STEADY = 0.05
"""Deviation over time of an MFCC of a tone, rounded to 16 bits; that of noise is above 1."""

ROUNDING = 0.1
"""What rounding to 16 bits adds to the MFCCs of quiet noise, dB."""

FLOAT32 = 2e-6
"""Largest difference from another library, relative to the largest MFCC: float32 sums in another order."""


def as_pcm(waveform: NDArray[np.float64]) -> NDArray[np.int16]:
    return (waveform * 32767).round().astype(np.int16)


def noise() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(scale=0.1, size=200 * 1024)


def swelling(amplitude: float) -> NDArray[np.float32]:
    """Return noise from silence to 100 times that of `noise`, a range that exceeds 80 dB."""
    return (amplitude * np.geomspace(1e-4, 100, 200 * 1024) * noise()).astype(np.float32)


def mfcc_statistics(waveform: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the statistics of MFCCs and deltas, shape (7, 2, 20)."""
    return MFCCStatistics(22050).compute([as_pcm(waveform)]).reshape(7, 2, N_MFCC)


def test_statistics_are_those_of_the_definition() -> None:
    series = torch.tensor([[0.0, 0.0, 0.0, 4.0], [2.0, 2.0, 2.0, 2.0]])
    mean, deviation, skewness, kurtosis, median, minimum, maximum = statistics(series).tolist()
    # Those of a Bernoulli variable with p = 1/4: (1 - 2 p) / sqrt(p q), and (1 - 6 p q) / (p q).
    assert (mean[0], deviation[0]) == pytest.approx((1, 3**0.5))
    assert (skewness[0], kurtosis[0]) == pytest.approx((0.5 / (3 / 16) ** 0.5, (1 - 18 / 16) / (3 / 16)))
    assert (median[0], minimum[0], maximum[0]) == (0, 0, 4)
    # A constant feature must not divide by zero.
    assert [mean[1], deviation[1], skewness[1], median[1], minimum[1], maximum[1]] == [2, 0, 0, 2, 2, 2]


@pytest.mark.parametrize("amplitude", [1, 0.001, 0])
def test_mfccs_and_deltas_are_those_of_torchaudio(amplitude: float) -> None:
    torchaudio = import_torchaudio()
    mel = {"n_fft": 2048, "hop_length": 1024, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney"}
    waveform = torch.from_numpy(swelling(amplitude))
    expected = torchaudio.transforms.MFCC(22050, n_mfcc=N_MFCC, melkwargs=mel)(waveform)
    atol = FLOAT32 * expected.abs().max().item()
    mfcc = mfccs(waveform, torch.from_numpy(get_mel(22050, 2048)))
    torch.testing.assert_close(mfcc, expected, atol=atol, rtol=0)
    torch.testing.assert_close(deltas(mfcc), torchaudio.functional.compute_deltas(expected), atol=atol, rtol=0)


@pytest.mark.parametrize("sample_rate", [11025, 22050, 44100])
def test_mfccs_are_those_of_librosa(sample_rate: int) -> None:
    waveform = swelling(1)
    mfcc = mfccs(torch.from_numpy(waveform), torch.from_numpy(get_mel(sample_rate, 2048))).numpy()
    expected = librosa.feature.mfcc(
        y=waveform, sr=sample_rate, n_mfcc=N_MFCC, n_fft=2048, hop_length=1024, pad_mode="reflect"
    )
    assert mfcc == pytest.approx(expected, abs=FLOAT32 * float(np.abs(expected).max()))


@pytest.mark.parametrize("frames", [1, 4, 100])
def test_deltas_are_the_slope_of_a_line_through_five_frames(frames: int) -> None:
    series = torch.from_numpy(np.random.default_rng(0).normal(size=(3, frames)))
    padded = np.pad(series.numpy(), ((0, 0), (2, 2)), mode="edge")
    slopes = [np.polyfit(range(5), padded[:, start : start + 5].T, deg=1)[0] for start in range(frames)]
    torch.testing.assert_close(deltas(series), torch.from_numpy(np.stack(slopes, axis=1)))


def test_a_tone_stays_the_same_over_time_and_noise_does_not() -> None:
    # Whole periods in a hop, and a cosine, which the mirrored samples beyond both ends continue.
    samples = np.arange(100 * 1024 + 1)
    steady = mfcc_statistics(0.5 * np.cos(2 * np.pi * 10 * samples / 1024))
    assert steady[1].max() < STEADY
    assert np.abs(steady[4] - steady[0]).max() < STEADY
    assert mfcc_statistics(noise())[1, 0].min() > 1


def test_loudness_moves_the_first_mfcc_by_its_decibels_and_nothing_else() -> None:
    loud, quiet = mfcc_statistics(noise()), mfcc_statistics(noise() / 10)
    moved = np.zeros_like(loud)
    # 20 dB in each of 128 bands, by an orthonormal cosine transform.
    moved[[0, 4, 5, 6], 0, 0] = 20 * 128**0.5
    assert loud - quiet == pytest.approx(moved, abs=ROUNDING)


def test_a_track_is_computed_whole_in_blocks_however_short_it_is() -> None:
    extractor = MFCCStatistics(22050)
    pcm = as_pcm(noise())
    blocks = extractor.compute(np.split(pcm, 4)).reshape(7, 2, N_MFCC)
    # The frames at the ends of a block have mirrored samples.
    assert blocks[0, 0] == pytest.approx(mfcc_statistics(noise())[0, 0], abs=0.5)
    assert np.isfinite(extractor.compute([pcm[:100]])).all()


def test_spectral_statistics_come_after_those_of_mfccs() -> None:
    both = MFCCStatistics(22050, "mfcc+spectral").compute([as_pcm(noise())])
    assert both.shape == (7, 2 * N_MFCC + 7 + 1)
    assert np.array_equal(both[:, : 2 * N_MFCC], mfcc_statistics(noise()).reshape(7, -1))
    # The mean frequency of white noise is half of the highest one.
    assert both[0, -1] == pytest.approx(22050 / 4, rel=0.05)
    # Ten times as loud, the spectrum has the same shape.
    quiet = MFCCStatistics(22050, "mfcc+spectral").compute([as_pcm(noise() / 10)])
    assert quiet[0, 2 * N_MFCC :] == pytest.approx(both[0, 2 * N_MFCC :], rel=0.01)
    parts = MFCCStatistics(22050, "mfcc+spectral").compute(np.split(as_pcm(noise()), 4))
    # As above, the frames at the ends of a block differ.
    assert parts[0, 2 * N_MFCC :] == pytest.approx(both[0, 2 * N_MFCC :], rel=0.05)
