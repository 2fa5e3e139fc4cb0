"""Spectral mean normalisation, as additional input channels."""

from typing import Final

import torch
from torch import Tensor, nn

_SPREAD: Final = 3.0
"""Factor for the normalised values, whose spread is a third of the spectrogram's."""


class SpectralMeanNormalization(nn.Module):
    """Appends to each spectrogram a copy in which every mel band has a mean of 0 over the clip.

    A linear filter, such as a room, a microphone or an equaliser, adds a constant to each band of a spectrogram in
    decibels. Subtracting the mean removes it. The copy has the shape of further mel bands.

    Shape:
        - mel: (b, m, f)
        - Output: (b, 2 m, f), the second half within -6 .. 6

    Reference:
        B. S. Atal, "Effectiveness of linear prediction characteristics of the speech wave for automatic speaker
        identification and verification", JASA 1974, for subtracting the mean.
    """

    def forward(self, mel: Tensor) -> Tensor:
        """Append the normalised copy.

        Args:
            mel: Spectrograms within -1 .. 1, shape (b, m, f).

        Returns:
            Shape (b, 2 m, f).
        """
        return torch.cat([mel, _SPREAD * (mel - mel.mean(-1, keepdim=True))], 1)
