"""Resampling equals soxr's in the pass band, removes what the lower rate cannot represent, and takes any length."""

import numpy as np
import pytest
import soxr
import torch
from numpy.typing import NDArray

from lit_genre.errors import LitGenreError
from lit_genre.model.spectrogram.resampling import Resampler

RATIOS = [(24000, 16000), (22050, 16000), (48000, 44100), (48000, 16000), (16000, 24000)]


def noise(rate: int, low: float, high: float) -> NDArray[np.float32]:
    """One second of noise between two frequencies, Hz."""
    random, frequencies = np.random.default_rng(0), np.fft.rfftfreq(rate, 1 / rate)
    values = random.normal(size=(2, len(frequencies))) * ((frequencies >= low) & (frequencies <= high))
    samples = np.fft.irfft(values[0] + 1j * values[1], rate)
    return (samples / np.abs(samples).max()).astype(np.float32)


def decibels(signal: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    return float(10 * np.log10(np.square(signal).mean() / np.square(reference).mean()))


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_the_pass_band_is_that_of_soxr(source: int, target: int) -> None:
    waveform = noise(source, 20, 0.9 * min(source, target) / 2)
    expected = soxr.resample(waveform, source, target, quality="VHQ")
    resampled = Resampler(source, target)(torch.from_numpy(waveform)[None])[0].numpy()
    assert resampled.shape == expected.shape
    # Not the ends, where the two have other transients.
    inside = slice(target // 20, -target // 20)
    assert decibels(resampled[inside] - expected[inside], expected[inside]) < -70


@pytest.mark.parametrize(("source", "target"), [pair for pair in RATIOS if pair[0] > pair[1]])
def test_frequencies_above_half_the_lower_rate_are_removed(source: int, target: int) -> None:
    waveform = noise(source, target / 2, source / 2)
    resampled = Resampler(source, target)(torch.from_numpy(waveform)[None])[0].numpy()
    assert decibels(resampled[target // 20 : -target // 20], waveform) < -80


@pytest.mark.parametrize("n", [1, 2, 440, 441, 442, 5000])
def test_any_length_and_batch(n: int) -> None:
    resampler, waveforms = Resampler(22050, 16000), torch.randn(3, n, dtype=torch.float64)
    resampled = resampler(waveforms)
    assert (resampled.shape, resampled.dtype) == ((3, -(-n * 320 // 441)), torch.float32)
    torch.testing.assert_close(resampled[1:2], resampler(waveforms[1:2]))


def test_autocast_does_not_change_it() -> None:
    resampler, waveform = Resampler(24000, 16000), torch.randn(1, 1000)
    with torch.autocast("cpu", torch.bfloat16):
        cast = resampler(waveform)
    assert torch.equal(cast, resampler(waveform))
    assert not resampler.state_dict()


def test_it_can_be_exported_for_any_length() -> None:
    resampler, dynamic = Resampler(24000, 16000), torch.export.Dim.DYNAMIC
    shapes = {"waveform": {0: dynamic, 1: dynamic}}
    program = torch.export.export(resampler, (torch.randn(2, 5000),), dynamic_shapes=shapes)
    waveforms = torch.randn(3, 777)
    torch.testing.assert_close(program.module()(waveforms), resampler(waveforms))


def test_a_ratio_with_a_huge_kernel_is_refused() -> None:
    with pytest.raises(LitGenreError, match="44101 Hz cannot be resampled to 16000 Hz: the ratio 16000/44101"):
        Resampler(44101, 16000)
