"""Changes: a spectrogram seen twice, the second time without what stays the same over the clip."""

from typing import Final

import torch
from torch import Tensor, nn

_SPREAD: Final = 3.0
"""Brings the changes, a third as wide as the spectrogram's values, to the same width."""


class SpectralMeanNormalization(nn.Module):
    """Puts beside each spectrogram what changes in it: the same, each band without its mean over the clip.

    With the mean goes whatever filter the music went through: another room, mix or record player. What is left are
    rhythm, notes and strokes. To a backbone they are as many mel bands more.

    Shape:
        - mel: (b, m, f)
        - Output: (b, 2 m, f), the second half within -6 .. 6

    Reference:
        B. S. Atal, "Effectiveness of linear prediction characteristics of the speech wave for automatic speaker
        identification and verification", JASA 1974, for taking away the mean.
    """

    def forward(self, mel: Tensor) -> Tensor:
        """Map (b, m, f) to (b, 2 m, f)."""
        return torch.cat([mel, _SPREAD * (mel - mel.mean(-1, keepdim=True))], 1)
