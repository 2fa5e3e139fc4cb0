"""The recommended network CNN1DAttention: convolutions over time, and attention pooling over time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_genre.backbones.blocks import ConvBlocks, Dropout
from lit_genre.model.backbone import Backbone, InputShape


class CNN1DAttention(Backbone):
    """Four convolution blocks over time, the mel bands as channels, and attention pooling over time.

    The embedding is the mean of the feature maps over time, followed by their mean with learned attention weights. The
    network is small enough to train on a CPU. Its recommended recipe is `recipes/modern`.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames of each kernel, odd.
        pool: Frames of each pooling window.
        dropout: Probability, 0 to 1, after each block.
        embedding_dropout: Probability, 0 to 1, after the embedding.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, 2 * filters[-1])

    Reference:
        S. Dieleman and B. Schrauwen, "End-to-end learning for music audio", ICASSP 2014
        (convolutions over time).
        Q. Kong et al., "Audio Set classification with attention model: A probabilistic perspective", ICASSP 2018
        (attention pooling).
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
        self.blocks = ConvBlocks((input_shape[0], *filters), (1, kernel_size), (1, pool), dropout)
        # No bias: the softmax over time would cancel it.
        self.attention = nn.Conv1d(filters[-1], 1, 1, bias=False)
        self.dropout = Dropout(embedding_dropout)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        maps = self.blocks(mel.unsqueeze(2)).squeeze(2)
        attended = (maps * self.attention(maps).softmax(-1)).sum(-1)
        embedding: Tensor = self.dropout(torch.cat([maps.mean(-1), attended], 1))
        return embedding
