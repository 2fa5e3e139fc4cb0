"""CRNN: convolutions over time, then a recurrent layer over what they leave."""

from itertools import pairwise

from torch import Tensor, nn

from lit_genre.model.backbone import Backbone, InputShape


class CRNN(Backbone):
    """Three convolution blocks over time, an LSTM and a dense layer.

    The convolutions take the mel bands as channels and slide along time only; each block is convolution, batch
    norm, ReLU, max-pool by 2, dropout. The LSTM's output at the last step goes through dropout and a dense layer.
    Sizes and order follow Dwivedi's notebook, which the 2020 comparison of seven networks built on; that network
    simplifies the one of Choi et al., who convolve over both axes and use GRUs.

    Args:
        input_shape: (n_mels, n_frames).
        filters: Channels of each convolution.
        kernel_size: Frames that each convolution spans.
        lstm_dim: Size of the LSTM's state.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after each block and after the LSTM.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        P. Dwivedi, "Using CNNs and RNNs for Music Genre Recognition", notebook, 2018.
        K. Choi et al., "Convolutional Recurrent Neural Networks for Music Classification", ICASSP 2017.
    """

    def __init__(
        self,
        input_shape: InputShape,
        filters: int = 56,
        kernel_size: int = 5,
        lstm_dim: int = 96,
        embedding_dim: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        channels = (input_shape[0], filters, filters, filters)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv1d(before, after, kernel_size, padding="same"),
                    nn.BatchNorm1d(after),
                    nn.ReLU(),
                    nn.MaxPool1d(2, ceil_mode=True),
                    nn.Dropout(dropout),
                )
                for before, after in pairwise(channels)
            )
        )
        self.lstm = nn.LSTM(filters, lstm_dim, batch_first=True)
        self.dense = nn.Sequential(nn.Dropout(dropout), nn.Linear(lstm_dim, embedding_dim), nn.ReLU())

    def forward(self, mel: Tensor) -> Tensor:
        """Map a batch of spectrograms, shape (b, m, f), to embeddings, shape (b, d)."""
        frames = self.blocks(mel).transpose(1, 2)
        states, _ = self.lstm(frames)
        embedding: Tensor = self.dense(states[:, -1])
        return embedding
