"""Compute log-mel spectrograms on the device of the model.

The front-end is a part of the model, so that training, test, prediction and export use the same preprocessing. Another
front-end is a further class in this module, or in the module of a plugin's backbone: a torch.nn.Module that is built
from the sample rate and maps waveforms, shape (b, n), to spectrograms, shape (b, m, f). `model.frontend` selects it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from nnAudio.features import MelSpectrogram
from torch import Tensor, nn

from lit_genre.errors import LitGenreError, check_at_least

Engine = Literal["auto", "nnaudio", "fft"]

SILENCE: Final = 1e-8
"""Mel power below which a clip counts as silent: a sine of one int16 step has 5e-6."""


class LogMel(nn.Module):
    """Mel spectrogram in decibels relative to the clip's peak, scaled to -1 (the floor) .. 1 (the peak).

    The defaults are those of Yaacob and Goldrich (2020). Computed in float32 with autocast and TF32 off: in bfloat16 a
    band is off by up to 3.7 dB. Frames are centred, with silence beyond the ends; the mel bands are Slaney's.

    Args:
        sample_rate: Hz.
        n_fft: Length of the Fourier transform, samples.
        win_length: Length of the Hann window, samples; null for n_fft.
        hop_length: Samples from one frame to the next.
        n_mels: Number of mel bands.
        f_min: Lowest frequency of the lowest band, Hz.
        f_max: Highest frequency of the highest band, Hz; null for half the sample rate.
        top_db: Range kept below the clip's peak, dB.
        engine: "nnaudio" is nnAudio's convolution; "fft" is torch.stft with the same window and mel bands, which
            gives the same values with a hundredth of the operations; "auto" is fft on a CPU and on an NVIDIA GPU, and
            nnaudio on other accelerators, whose complex numbers are not tested.
        trainable_mel: Learn the mel bands, from Slaney's on. Implies nnaudio.
        trainable_stft: Learn the Fourier kernels. Implies nnaudio.

    Shape:
        - waveform: (b, n), full scale 1
        - Output: (b, n_mels, n // hop_length + 1)

    Raises:
        LitGenreError: A size is out of range, or the "fft" engine is asked to be trainable.

    Reference:
        K. W. Cheuk et al., "nnAudio: An on-the-Fly GPU Audio to Spectrogram Conversion Toolbox Using 1D
        Convolutional Neural Networks", IEEE Access, 2020.
    """

    def __init__(
        self,
        sample_rate: int,
        n_fft: int = 2048,
        win_length: int | None = None,
        hop_length: int = 1024,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        top_db: float = 80.0,
        engine: Engine = "auto",
        trainable_mel: bool = False,
        trainable_stft: bool = False,
    ) -> None:
        super().__init__()
        check_at_least(
            n_fft=(n_fft, 2), win_length=(win_length or n_fft, 1), hop_length=(hop_length, 1), n_mels=(n_mels, 1)
        )
        if engine == "fft" and (trainable_mel or trainable_stft):
            raise LitGenreError(
                "engine 'fft' cannot be trained. Use engine 'auto' or 'nnaudio' with trainable_mel or trainable_stft."
            )
        self.hop_length = hop_length
        self.top_db = top_db
        self.engine: Engine = "nnaudio" if trainable_mel or trainable_stft else engine
        self.layer = MelSpectrogram(
            sr=sample_rate,
            n_fft=n_fft,
            win_length=win_length,
            hop_length=hop_length,
            n_mels=n_mels,
            fmin=f_min,
            fmax=f_max,
            pad_mode="constant",
            trainable_mel=trainable_mel,
            trainable_STFT=trainable_stft,
            verbose=False,
        )
        for module in (self.layer, self.layer.stft):
            for name, constant in list(module.named_buffers(recurse=False)):
                # Not in the checkpoint: 17 MB which follow from the arguments.
                module.register_buffer(name, constant, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute spectrograms.

        Args:
            waveform: Full scale 1, shape (b, n).

        Returns:
            Spectrograms within -1 .. 1, float32, shape (b, m, f).
        """
        power = self.power(waveform)
        peak = power.amax(dim=(1, 2), keepdim=True).clamp(min=SILENCE)
        decibels = 10 * torch.log10((power / peak).clamp(min=10 ** (-self.top_db / 10)))
        return decibels * (2 / self.top_db) + 1

    def power(self, waveform: Tensor) -> Tensor:
        """Compute the power in each mel band.

        Args:
            waveform: Full scale 1, shape (b, n).

        Returns:
            Power, float32, shape (b, m, f).
        """
        device = waveform.device.type
        # On an H200, 0.74 ms for 32 clips of 30 s instead of 18.4 ms (benchmarks/gpu.py).
        is_auto_fft = self.engine == "auto" and device in ("cpu", "cuda")
        with torch.autocast(device, enabled=False), tf32_off(device):
            waveform = waveform.float()
            if self.engine == "fft" or is_auto_fft:
                return self._power_by_fft(waveform)
            power: Tensor = self.layer(waveform)
            return power

    def _power_by_fft(self, waveform: Tensor) -> Tensor:
        stft = self.layer.stft
        spectrum = torch.stft(
            waveform,
            stft.n_fft,
            self.hop_length,
            window=stft.window_mask.flatten(),
            pad_mode="constant",
            return_complex=True,
        )
        # Frames before frequencies, the order in memory after the transform: one large product instead of one a clip.
        squares = torch.view_as_real(spectrum.transpose(1, 2)).square()
        power: Tensor = (squares[..., 0] + squares[..., 1]) @ self.layer.mel_basis.T
        return power.transpose(1, 2)


@contextmanager
def tf32_off(device: str) -> Iterator[None]:
    """Compute products and convolutions in full float32 on an NVIDIA GPU, whatever precision the run uses otherwise.

    Args:
        device: Type of the device, such as "cuda".
    """
    if device != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    settings: list[tuple[Any, str, object]]
    if hasattr(cudnn, "conv"):
        settings = [(matmul, "fp32_precision", "ieee"), (cudnn.conv, "fp32_precision", "ieee")]
    else:  # torch 2.8
        settings = [(matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    before = [getattr(module, name) for module, name, _ in settings]
    try:
        for module, name, value in settings:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(settings, before, strict=True):
            setattr(module, name, value)
