"""A network that is the same on any share of a batch: without normalisation over the batch, and without dropout."""

from torch import Tensor, nn

from lit_genre import Backbone
from lit_genre.model.backbone import InputShape


class PlainNet(Backbone):
    """One convolution over time."""

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.embedding_dim = 16
        self.convolution = nn.Conv1d(input_shape[0], 16, 3)

    def forward(self, mel: Tensor) -> Tensor:
        embedding: Tensor = self.convolution(mel).relu().mean(-1)
        return embedding
