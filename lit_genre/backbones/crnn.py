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
        between = dropout if lstm_layers > 1 else 0.0
        self.lstm = LSTM(filters[-1], lstm_dim, lstm_layers, batch_first=True, dropout=between)
        self.dropout = Dropout(dropout)
        self.dense = dense(lstm_dim, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings, shape (b, d), from spectrograms, shape (b, m, f)."""
        states, _ = self.lstm(self.blocks(mel.unsqueeze(2)).squeeze(2).transpose(1, 2))
        embedding: Tensor = self.dense(self.dropout(states[:, -1]))
        return embedding


class CRNN(_CRNN):
    """Three convolution blocks over time, an LSTM and a dense layer.

    The convolutions take the mel bands as channels and slide along time only; each block is convolution, batch
    norm, ReLU, max-pool by 2, dropout. The LSTM's output at the last step goes through dropout and a dense layer.
    Sizes and order follow Dwivedi's notebook, on which Yaacob and Goldrich (2020) built; that network simplifies the
    one of Choi et al. (2017), who convolve over both axes and use GRUs. Only the biases before batch normalisation,
    which it would cancel, are left out.

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
    """Four convolution blocks over time, two LSTMs on top of each other and a dense layer.

    As CRNN, with a deeper stack of wider convolutions and with dropout between the LSTMs. Yaacob and Goldrich
    (2020) do not list its layers; four convolutions and two recurrent layers are those of Choi et al.,
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
