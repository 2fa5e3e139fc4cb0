"""Resample waveforms on the device of the model."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.spectrogram.frontend import tf32_off

_ZEROS: Final = 64
"""Zero crossings of the sinc on each side of its peak."""

_CUTOFF: Final = 0.945
"""Cut-off frequency, as a fraction of half the lower rate."""

_BETA: Final = 9.0
"""Shape of the Kaiser window: side lobes of -90 dB, about the noise of 16-bit audio."""

_MOST_PHASES: Final = 1000
"""Largest numerator and denominator of the ratio of two rates: the kernel has at most some million numbers."""


class Resampler(nn.Module):
    """Changes the sample rate by a windowed sinc: one strided convolution with a filter for each output phase.

    Computed in float32 with autocast and TF32 off. Frequencies up to 0.9 of half the lower rate are kept, and those
    that the lower rate cannot represent are removed. Beyond the ends of a waveform is silence.

    Args:
        from_rate: Sample rate of the input, Hz.
        to_rate: Sample rate of the output, Hz.

    Shape:
        - waveform: (b, n)
        - Output: (b, ceil(n to_rate / from_rate)), float32

    Raises:
        LitGenreError: The ratio of the rates, in lowest terms, has a number above 1000.

    Reference:
        J. O. Smith, "Digital Audio Resampling Home Page", CCRMA, Stanford University, 2002.
    """

    kernel: Tensor

    def __init__(self, from_rate: int, to_rate: int) -> None:
        super().__init__()
        divisor = math.gcd(from_rate, to_rate)
        self.down, self.up = from_rate // divisor, to_rate // divisor
        if max(self.down, self.up) > _MOST_PHASES:
            raise LitGenreError(
                f"{from_rate} Hz cannot be resampled to {to_rate} Hz: the ratio {self.up}/{self.down} has a number "
                f"above {_MOST_PHASES}. Use common rates, such as 16000, 22050, 24000, 44100 and 48000."
            )
        # Of half the rate of the input. The sinc has a zero each 1 / cutoff samples.
        cutoff = _CUTOFF * min(1, self.up / self.down)
        self.width = math.ceil(_ZEROS / cutoff)
        # Distance of each input sample to the time of each output sample: (up, 2 width + down).
        times = torch.arange(-self.width, self.width + self.down, dtype=torch.float64)
        distances = times - torch.arange(self.up, dtype=torch.float64)[:, None] * self.down / self.up
        window = torch.i0(_BETA * (1 - (distances * cutoff / _ZEROS).square()).clamp(min=0).sqrt())
        window = window * ((distances * cutoff).abs() <= _ZEROS) / torch.i0(torch.tensor(_BETA, dtype=torch.float64))
        kernel = cutoff * torch.sinc(cutoff * distances) * window
        self.register_buffer("kernel", kernel.float().unsqueeze(1), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Resample waveforms.

        Args:
            waveform: Floating point, shape (b, n).

        Returns:
            Waveforms, float32, shape (b, ceil(n to_rate / from_rate)).
        """
        device = waveform.device.type
        with torch.autocast(device, enabled=False), tf32_off(device):
            padded = F.pad(waveform.float(), (self.width, self.width + self.down))
            phases = F.conv1d(padded.unsqueeze(1), self.kernel, stride=self.down)
        n_samples = (waveform.shape[-1] * self.up + self.down - 1) // self.down
        resampled = phases.transpose(1, 2).flatten(1)
        # Cut by a negative padding, as torch.export cannot compare the two lengths for a slice.
        return F.pad(resampled, (0, n_samples - resampled.shape[-1]))
