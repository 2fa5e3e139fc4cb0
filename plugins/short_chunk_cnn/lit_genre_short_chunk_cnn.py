"""ShortChunkRes: the residual short-chunk CNN of Won et al."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_genre.model.backbone import Backbone, InputShape


class ShortChunkRes(Backbone):
    """Seven residual blocks of 3 by 3 convolutions that halve bands and frames, and the maximum over time.

    On chunks of 3.69 s it was the best of the networks that Won et al. (2020) compared on MagnaTagATune. With a head
    for 50 tags it has the 12.1 million parameters of the paper. short_chunk_cnn.yaml has the front-end of the paper.

    Args:
        input_shape: (n_mels, n_frames).
        channels: Channels of the first two blocks. The next four blocks have twice as many, the last four times.
        dropout: Probability, 0 to 1, after the dense layer.

    Shape:
        - mel: (b, m, f), f >= 1
        - Output: (b, 4 * channels)

    Reference:
        M. Won et al., "Evaluation of CNN-based Automatic Music Tagging Models", SMC 2020.
    """

    def __init__(self, input_shape: InputShape, channels: int = 128, dropout: float = 0.5) -> None:
        super().__init__()
        self.embedding_dim = 4 * channels
        self.norm = nn.BatchNorm2d(1)
        widths = (1, *[channels] * 2, *[2 * channels] * 4, 4 * channels)
        self.blocks = nn.Sequential(*(ResidualBlock(before, after) for before, after in pairwise(widths)))
        # The faster memory format for convolutions, on a CPU and on a GPU with mixed precision.
        self.blocks.to(memory_format=torch.channels_last)
        self.dense = nn.Sequential(
            nn.Linear(4 * channels, 4 * channels), nn.BatchNorm1d(4 * channels), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Compute embeddings.

        Args:
            mel: Spectrograms, shape (b, m, f), floating point, within -1 .. 1 (see `Backbone`).

        Returns:
            Embeddings, shape (b, embedding_dim).
        """
        maps = self.norm(mel.unsqueeze(1)).contiguous(memory_format=torch.channels_last)
        embedding: Tensor = self.dense(self.blocks(maps).amax((2, 3)))
        return embedding


class ResidualBlock(nn.Module):
    """Two convolutions, the first with a stride of 2, and a shortcut of one convolution with a stride of 2.

    Args:
        before: Channels of the input.
        after: Channels of the output.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """Compute feature maps.

        Args:
            maps: Feature maps, shape (b, before, m, f).

        Returns:
            Feature maps, shape (b, after, m / 2, f / 2), rounded up.
        """
        return torch.relu(self.main(maps) + self.shortcut(maps))
