"""The baseline networks CNN2DShallow and CNN2DDeep: convolutions over mel bands and frames."""

import math
from collections.abc import Sequence

from torch import Tensor

from lit_genre.backbones.blocks import ConvBlocks, dense
from lit_genre.model.backbone import Backbone, InputShape


class _CNN2D(Backbone):
    """Convolution blocks over bands and time, the mean over the remaining time, and a dense layer."""

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int],
        kernel_size: int,
        pool: int,
        embedding_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.blocks = ConvBlocks((1, *filters), (kernel_size, kernel_size), (pool, pool), dropout)
        # An incomplete pooling window is kept, so the number of bands is rounded up.
        bands = math.ceil(input_shape[0] / pool ** len(filters))
        self.dense = dense(filters[-1] * bands, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        embedding: Tensor = self.dense(self.blocks(mel.unsqueeze(1)).mean(-1).flatten(1))
        return embedding


class CNN2DShallow(_CNN2D):
    """Two convolution blocks over the spectrogram as an image.

    Each block is convolution, batch norm, ReLU, max-pool, dropout. The mean over time and a dense layer follow. Yaacob
    and Goldrich (2020) do not list its layers. Two blocks of larger filters with pooling by 4 are similar to the
    shallow networks of Schindler et al. (2016). The mean over time allows clips of any length. The bands are not
    averaged, because the frequency of a band matters.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Bands and frames of each kernel, odd.
        pool: Bands and frames of each pooling window.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        A. Schindler et al., "Comparing Shallow versus Deep Neural Network Architectures for Automatic Music Genre
        Classification", Forum Media Technology 2016.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (16, 32),
        kernel_size: int = 5,
        pool: int = 4,
        embedding_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, pool, embedding_dim, dropout)


class CNN2DDeep(_CNN2D):
    """Five convolution blocks over the spectrogram as an image.

    Each block is convolution, batch norm, ReLU, max-pool, dropout. The mean over time and a dense layer follow. Yaacob
    and Goldrich (2020) do not list its layers. This network follows the one of Choi et al. (2016) with five layers of
    3 by 3 filters, more in each layer. It has a tenth of their channels, and pools by 2 over bands and time. The mean
    over time allows clips of any length.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Bands and frames of each kernel, odd.
        pool: Bands and frames of each pooling window.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        K. Choi et al., "Automatic Tagging Using Deep Convolutional Neural Networks", ISMIR 2016.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (16, 32, 64, 128, 128),
        kernel_size: int = 3,
        pool: int = 2,
        embedding_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, pool, embedding_dim, dropout)
