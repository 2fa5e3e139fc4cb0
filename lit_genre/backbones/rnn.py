"""The baseline network RNN: an LSTM over the frames of the spectrogram."""

from torch import Tensor, nn

from lit_genre.backbones.blocks import LSTM, Dropout, dense
from lit_genre.model.backbone import Backbone, InputShape


class RNN(Backbone):
    """A plain LSTM over the frames.

    Yaacob and Goldrich (2020) report an accuracy of 11.1 % for their RNN, below the 12.5 % of chance: it did not learn.
    This network differs in four points. Each mel band is normalised over the batch. The bias of the forget gates is
    initialised to 1 (Jozefowicz et al., 2015). The states are averaged over time, so that the gradient reaches every
    frame directly, instead of through hundreds of steps. Its configuration clips the norm of the gradient.

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
        # Order of the gates: input, forget, cell, output. torch adds two biases for each gate, so only one is set to 1.
        nn.init.ones_(self.lstm.get_parameter("bias_ih_l0")[lstm_dim : 2 * lstm_dim])
        self.dropout = Dropout(dropout)
        self.dense = dense(lstm_dim, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        states, _ = self.lstm(self.norm(mel).transpose(1, 2))
        embedding: Tensor = self.dense(self.dropout(states.mean(1)))
        return embedding
