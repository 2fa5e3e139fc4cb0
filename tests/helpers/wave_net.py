"""A network on waveforms whose weights come from a file, as those of a pretrained encoder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_genre import Backbone
from lit_genre.model.backbone import InputShape


class WaveNet(Backbone):
    """One convolution over time.

    Args:
        input_shape: (n_samples,).
        weights: File of the weights.
        freeze: Whether it is not trained.
    """

    takes = "waveform"
    sample_rate = 16000

    def __init__(self, input_shape: InputShape, weights: str | None = None, freeze: bool = False) -> None:
        super().__init__()
        self.freeze = freeze
        self.convolution = nn.Conv1d(1, 4, 400, stride=160, padding=200)
        self.dropout = nn.Dropout(0.5)
        self.embedding_dim = 4
        if weights is not None:
            self.load_state_dict(torch.load(Path(weights), weights_only=True))
        self.requires_grad_(not freeze)

    def forward(self, mel: Tensor) -> Tensor:
        embedding: Tensor = self.dropout(self.convolution(mel.unsqueeze(1)).relu().mean(-1))
        return embedding

    def train(self, mode: bool = True) -> "WaveNet":
        return super().train(mode and not self.freeze)

    def restore_args(self) -> dict[str, Any]:
        return {"weights": None}
