"""TwoViewCNN: convolutions over time, on the spectrogram and on what changes in it; the one to begin with."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lit_genre.backbones.blocks import ConvBlocks, Dropout
from lit_genre.model.backbone import Backbone, InputShape

_SPREAD: Final = 3.0
"""Brings the changes, a third as wide as the spectrogram's values, to the same width."""


class TwoViewCNN(Backbone):
    """Four convolution blocks over time, on the spectrogram and on what changes in it.

    The first view is the spectrogram; in the second each band has lost its mean over the clip, and with it whatever
    filter the music went through: another room, mix or record player. What is left are rhythm, notes and strokes. Mel
    bands of both are the channels of convolutions over time. The embedding is what they find on average over time, and
    what they find in the moments that an attention, which is learnt, looks at. Small enough for a CPU.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames that each convolution spans, odd.
        pool: Frames that each max-pool makes one of.
        dropout: Probability, 0 to 1, after each block.
        embedding_dropout: Probability, 0 to 1, behind the embedding.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, 2 * filters[-1])

    Reference:
        B. S. Atal, "Effectiveness of linear prediction characteristics of the speech wave for automatic speaker
        identification and verification", JASA 1974, for taking away the mean.
        S. Dieleman and B. Schrauwen, "End-to-end learning for music audio", ICASSP 2014, for convolutions over time.
        Q. Kong et al., "Audio Set classification with attention model: A probabilistic perspective", ICASSP 2018.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (96, 96, 128, 128),
        kernel_size: int = 5,
        pool: int = 2,
        dropout: float = 0.2,
        embedding_dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.embedding_dim = 2 * filters[-1]
        self.blocks = ConvBlocks((2 * input_shape[0], *filters), (1, kernel_size), (1, pool), dropout)
        self.attention = nn.Conv1d(filters[-1], 1, 1, bias=False)
        self.dropout = Dropout(embedding_dropout)

    def forward(self, mel: Tensor) -> Tensor:
        """Map a batch of spectrograms, shape (b, m, f), to embeddings, shape (b, d)."""
        changes = _SPREAD * (mel - mel.mean(-1, keepdim=True))
        maps = self.blocks(torch.cat([mel, changes], 1).unsqueeze(2)).squeeze(2)
        attended = (maps * self.attention(maps).softmax(-1)).sum(-1)
        embedding: Tensor = self.dropout(torch.cat([maps.mean(-1), attended], 1))
        return embedding
