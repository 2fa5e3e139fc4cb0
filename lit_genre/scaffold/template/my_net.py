"""MyNet: a backbone for lit-genre."""

import torch
from torch import Tensor, nn

from lit_genre.model.backbone import Backbone, InputShape


class MyNet(Backbone):
    """Two convolutions over time, and the mean and the maximum of their outputs over time.

    Args:
        input_shape: (n_mels, n_frames).
        channels: Channels of the convolutions.
        embedding_dim: Size of the embedding.
        dropout: Probability, 0 to 1, before the last layer.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, embedding_dim)
    """

    def __init__(
        self, input_shape: InputShape, channels: int = 64, embedding_dim: int = 64, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.convolutions = nn.Sequential(
            nn.Conv1d(input_shape[0], channels, kernel_size=5, padding="same"),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            # ceil_mode, so that clips of fewer than 4 frames are accepted.
            nn.MaxPool1d(4, ceil_mode=True),
            nn.Conv1d(channels, channels, kernel_size=5, padding="same"),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * channels, embedding_dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1.

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        features = self.convolutions(mel)
        # Pooling over time, because clips may have any length.
        pooled = torch.cat([features.mean(-1), features.amax(-1)], dim=-1)
        embedding: Tensor = self.linear(self.dropout(pooled))
        return embedding
