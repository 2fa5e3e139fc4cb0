from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_genre import LogMel
from lit_genre.export.fourier import MelPowerProducts, with_matrix_products

# Sums of float32 in another order; a mel band 80 dB below the peak may differ by more than its own power.
PART_OF_THE_PEAK = 1e-5
MEL_TOLERANCE = 1e-4
RATE = 22050


def noise(n_samples: int) -> Tensor:
    return torch.rand(2, n_samples, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hop_length": 512},
        {"hop_length": 441},
        {"n_fft": 1024, "hop_length": 3000},
        {"n_fft": 400, "hop_length": 160, "n_mels": 40},
        {"n_fft": 194, "hop_length": 97, "n_mels": 8},
        {"win_length": 800, "f_min": 100.0, "f_max": 8000.0},
        {"engine": "nnaudio", "trainable_mel": True},
    ],
)
def test_products_have_the_power_of_the_front_end(options: dict[str, Any]) -> None:
    frontend = LogMel(RATE, **options)
    products = with_matrix_products(frontend)
    assert isinstance(products, LogMel)
    for n_samples in (RATE, 2 * RATE + 7):
        waveform = noise(n_samples)
        with torch.no_grad():
            expected = frontend.power(waveform)
            power = products.power(waveform)
            assert power.shape == expected.shape
            assert (power - expected).abs().max() < PART_OF_THE_PEAK * expected.max()
            assert products(waveform) == pytest.approx(frontend(waveform), abs=MEL_TOLERANCE)


def test_a_tone_is_in_one_band_down_to_the_floor() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE, dtype=torch.float64) / RATE).float()[None]
    expected, mel = LogMel(RATE)(tone), with_matrix_products(LogMel(RATE))(tone)
    assert mel.min() == -1
    assert mel.mean(2).argmax() == expected.mean(2).argmax()
    assert mel == pytest.approx(expected, abs=0.01)


class Compressed(LogMel):
    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log10(1 + 10_000 * self.power(waveform))


class OwnPower(LogMel):
    def power(self, waveform: Tensor) -> Tensor:
        return super().power(waveform) * 2


def test_a_subclass_with_another_scale_is_replaced() -> None:
    frontend = Compressed(RATE)
    products = with_matrix_products(frontend)
    assert isinstance(products, Compressed)
    assert isinstance(products.products, MelPowerProducts)
    assert products(noise(RATE)) == pytest.approx(frontend(noise(RATE)), abs=MEL_TOLERANCE)
    # The original is unchanged, as training may go on with it.
    assert not hasattr(frontend, "products")


@pytest.mark.parametrize(
    "build",
    [
        nn.Identity,
        partial(OwnPower, RATE),
        partial(LogMel, RATE, trainable_stft=True),
        partial(LogMel, RATE, n_fft=1103),
    ],
)
def test_other_front_ends_are_left_as_they_are(build: Any) -> None:
    frontend = build()
    assert with_matrix_products(frontend) is frontend
