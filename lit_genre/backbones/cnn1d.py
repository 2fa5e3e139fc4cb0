"""The baseline networks CNN1DShallow and CNN1DDeep: convolutions over time, with the mel bands as channels."""

from collections.abc import Sequence

from torch import Tensor

from lit_genre.backbones.blocks import ConvBlocks, dense
from lit_genre.model.backbone import Backbone, InputShape


class _CNN1D(Backbone):
    """Convolution blocks over time, the mean over the remaining time, and a dense layer."""

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
        self.blocks = ConvBlocks((input_shape[0], *filters), (1, kernel_size), (1, pool), dropout)
        self.dense = dense(filters[-1], embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        embedding: Tensor = self.dense(self.blocks(mel.unsqueeze(2)).mean((2, 3)))
        return embedding


class CNN1DShallow(_CNN1D):
    """Two convolution blocks over time, the mel bands as channels.

    Each block is convolution, batch norm, ReLU, max-pool, dropout. The mean over time and a dense layer follow. Yaacob
    and Goldrich (2020) do not list its layers. This network follows Dieleman and Schrauwen (2014), who convolve twice
    over time, with kernels of about a quarter of a second and pooling by 4. Batch norm, dropout and the mean over time,
    which allows clips of any length, are additions.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames of each kernel, odd.
        pool: Frames of each pooling window.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        S. Dieleman and B. Schrauwen, "End-to-end learning for music audio", ICASSP 2014.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (64, 64),
        kernel_size: int = 5,
        pool: int = 4,
        embedding_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, pool, embedding_dim, dropout)


class CNN1DDeep(_CNN1D):
    """Five convolution blocks over time, the mel bands as channels.

    Each block is convolution, batch norm, ReLU, max-pool, dropout. The mean over time and a dense layer follow. Yaacob
    and Goldrich (2020) do not list its layers. This network extends CNN1DShallow as Dieleman (2014) extended his
    network: more and wider layers with smaller pooling windows, and global pooling over time before the dense layer.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames of each kernel, odd.
        pool: Frames of each pooling window.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        S. Dieleman, "Recommending music on Spotify with deep learning", 2014.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (64, 64, 128, 128, 256),
        kernel_size: int = 5,
        pool: int = 2,
        embedding_dim: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, pool, embedding_dim, dropout)
