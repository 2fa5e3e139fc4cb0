"""The baseline networks CRNN and CRNNStacked: convolutions over time, then recurrent layers."""

from collections.abc import Sequence

from torch import Tensor

from lit_genre.backbones.blocks import LSTM, ConvBlocks, Dropout, dense
from lit_genre.model.backbone import Backbone, InputShape


class _CRNN(Backbone):
    """Convolution blocks over time, LSTMs, and a dense layer after the last state."""

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int],
        kernel_size: int,
        lstm_dim: int,
        lstm_layers: int,
        embedding_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.blocks = ConvBlocks((input_shape[0], *filters), (1, kernel_size), (1, 2), dropout)
        # torch warns about dropout between layers if there is one layer only.
        between = dropout if lstm_layers > 1 else 0.0
        self.lstm = LSTM(filters[-1], lstm_dim, lstm_layers, batch_first=True, dropout=between)
        self.dropout = Dropout(dropout)
        self.dense = dense(lstm_dim, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        states, _ = self.lstm(self.blocks(mel.unsqueeze(2)).squeeze(2).transpose(1, 2))
        embedding: Tensor = self.dense(self.dropout(states[:, -1]))
        return embedding


class CRNN(_CRNN):
    """Three convolution blocks over time, an LSTM and a dense layer.

    The convolutions are over time, with the mel bands as channels. Each block is convolution, batch norm, ReLU, pooling
    by 2, dropout. The output of the LSTM at the last step passes through dropout and a dense layer. Sizes and order
    follow Dwivedi's notebook, on which Yaacob and Goldrich (2020) built. That network simplifies the one of Choi et al.
    (2017), who convolve over both axes and use GRUs. Only the biases before batch normalisation are left out, because
    it would cancel them.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames of each kernel, odd.
        lstm_dim: Size of the LSTM's state.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block and after the LSTM.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        P. Dwivedi, "Using CNNs and RNNs for Music Genre Recognition", notebook, 2018.
        K. Choi et al., "Convolutional Recurrent Neural Networks for Music Classification", ICASSP 2017.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (56, 56, 56),
        kernel_size: int = 5,
        lstm_dim: int = 96,
        embedding_dim: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, lstm_dim, 1, embedding_dim, dropout)


class CRNNStacked(_CRNN):
    """Four convolution blocks over time, two stacked LSTMs and a dense layer.

    It differs from CRNN by more and wider convolutions, a second LSTM, and dropout between the LSTMs. Yaacob and
    Goldrich (2020) do not list its layers. Four convolutions and two recurrent layers are as in Choi et al. (2017),
    who convolve over both axes and use GRUs.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of the convolution of each block.
        kernel_size: Frames of each kernel, odd.
        lstm_dim: Size of each LSTM's state.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block and after each LSTM.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        K. Choi et al., "Convolutional Recurrent Neural Networks for Music Classification", ICASSP 2017.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: Sequence[int] = (64, 64, 96, 96),
        kernel_size: int = 5,
        lstm_dim: int = 96,
        embedding_dim: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(input_shape, filters, kernel_size, lstm_dim, 2, embedding_dim, dropout)
