"""RNN: an LSTM over the frames of the spectrogram, and nothing before it."""

from torch import Tensor, nn

from lit_genre.backbones.blocks import LSTM, Dropout, dense
from lit_genre.model.backbone import Backbone, InputShape


class RNN(Backbone):
    """A plain LSTM over the frames.

    The 2020 comparison of seven networks reports 11.1 % for its RNN, under the 12.5 % of chance: it did not learn.
    What this one does so that it learns: each mel band is normalised over the batch, the forget gates begin open
    (Jozefowicz et al.), the states are averaged over time instead of taken from the last of hundreds of steps, so
    that the gradient reaches every frame directly, and its configuration clips the norm of the gradient.

    Args:
        input_shape: (n_mels, n_frames).
        lstm_dim: Size of the LSTM's state.
        embedding_dim: Size of the dense layer, the embedding.
        dropout: Probability, 0 to 1, after the LSTM.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)

    Reference:
        S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
        R. Jozefowicz et al., "An Empirical Exploration of Recurrent Network Architectures", ICML 2015.
    """

    def __init__(
        self, input_shape: InputShape, lstm_dim: int = 128, embedding_dim: int = 64, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.norm = nn.BatchNorm1d(input_shape[0])
        self.lstm = LSTM(input_shape[0], lstm_dim, batch_first=True)
        # The gates are in, forget, cell, out; of their two biases one suffices.
        nn.init.ones_(self.lstm.get_parameter("bias_ih_l0")[lstm_dim : 2 * lstm_dim])
        self.dropout = Dropout(dropout)
        self.dense = dense(lstm_dim, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Map a batch of spectrograms, shape (b, m, f), to embeddings, shape (b, d)."""
        states, _ = self.lstm(self.norm(mel).transpose(1, 2))
        embedding: Tensor = self.dense(self.dropout(states.mean(1)))
        return embedding
