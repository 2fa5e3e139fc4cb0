"""Spectral contrast and spectral centroid: the values of librosa, at several sample rates."""

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lit_genre.features.spectral import spectral_contrast, spectral_shape
from tests.helpers.audio import tone

FLOAT32 = 0.01
"""How far decibels of a frame are apart that are computed in float32 and in float64."""


def noise() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(scale=0.1, size=200 * 1024)


def test_contrast_and_centroid_are_those_of_librosa() -> None:
    rate, waveform = 22050, noise() * np.linspace(0, 1, 200 * 1024) + 0.3 * tone(440.0, 200 * 1024 / 22050)
    magnitude = np.abs(librosa.stft(waveform, n_fft=2048, hop_length=1024, pad_mode="reflect"))
    shape = spectral_shape(torch.from_numpy(waveform).float(), rate, 2048, 1024)
    expected = librosa.feature.spectral_contrast(S=magnitude, sr=rate)
    assert spectral_contrast(shape.peaks, shape.valleys).numpy() == pytest.approx(expected, abs=FLOAT32)
    assert shape.centroid.numpy() == pytest.approx(librosa.feature.spectral_centroid(S=magnitude, sr=rate), rel=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_bands_follow_the_sample_rate_as_librosas_do(rate: int) -> None:
    waveform = torch.from_numpy(noise()).float()
    shape = spectral_shape(waveform, rate, 2048, 1024)
    n_octaves = 5 if rate == 8000 else 6
    magnitude = np.abs(librosa.stft(waveform.numpy(), n_fft=2048, hop_length=1024, pad_mode="reflect"))
    expected = librosa.feature.spectral_contrast(S=magnitude, sr=rate, n_bands=n_octaves)
    assert spectral_contrast(shape.peaks, shape.valleys).numpy() == pytest.approx(expected, abs=FLOAT32)


def test_the_centroid_of_a_tone_is_its_frequency_and_that_of_silence_is_0() -> None:
    sound = torch.from_numpy(np.concatenate([tone(1000.0, 2.0), np.zeros(3 * 22050, np.float32)]))
    centroid = spectral_shape(sound, 22050, 2048, 1024).centroid[0]
    assert centroid[5:35].numpy() == pytest.approx(1000, abs=22050 / 2048)
    assert (centroid[50:] == 0).all()
