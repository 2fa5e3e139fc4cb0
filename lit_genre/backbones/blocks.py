"""What the networks with convolutions are stacked from."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


class ConvBlocks(nn.Sequential):
    """Blocks of convolution, batch norm, max-pool, ReLU and dropout.

    ReLU behind the max-pool gives the values that it gives before it, for a part of the work. The convolutions have
    no bias, which the batch norm would take away again. Maps lie in memory channel beside channel, in which layout a
    CPU takes two thirds of the time.

    Args:
        channels: Those of the input, then those of each block.
        kernel_size: Rows and columns that each convolution spans, odd.
        pool: Rows and columns that each max-pool makes one of; what does not fill a window is kept.
        dropout: Probability, 0 to 1.

    Shape:
        - maps: (b, channels[0], rows, columns)
        - Output: (b, channels[-1], rows / pool[0] ** blocks, columns / pool[1] ** blocks), each rounded up
    """

    def __init__(
        self, channels: Sequence[int], kernel_size: tuple[int, int], pool: tuple[int, int], dropout: float
    ) -> None:
        super().__init__(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, kernel_size, padding="same", bias=False),
                    nn.BatchNorm2d(after),
                    nn.MaxPool2d(pool, ceil_mode=True),
                    nn.ReLU(inplace=True),
                    Dropout(dropout),
                )
                for before, after in pairwise(channels)
            )
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (b, channels[0], rows, columns) to smaller maps of more channels."""
        maps = maps.contiguous(memory_format=torch.channels_last)
        for block in self:
            maps = block(maps)
        return maps


class Dropout(nn.Dropout):
    """torch's dropout, with the mask drawn four numbers at a time on a CPU.

    There torch draws them one by one, in double precision, which was a sixth of a training step (not on Intel's CPUs).
    Probabilities are rounded down to a multiple of 2⁻¹⁶.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Set numbers to 0 at random and scale the others, in training."""
        if not self.training or input.device.type != "cpu" or self.p in (0, 1):
            return super().forward(input)
        drawn = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        # As the input lies in memory.
        drawn = drawn.as_strided(input.shape, torch.empty_like(input, device="meta").stride())
        kept = drawn >= int(self.p * 2**16) - 2**15
        return input * (kept.to(input.dtype) * (1 / (1 - self.p)))


class LSTM(nn.LSTM):
    """torch's LSTM, which on a CPU stays in float32 under autocast: one without AVX-512 has no other."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:  # type: ignore[override]
        """Map (b, f, c) to the states and the last state, as torch's does."""
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float(), hx)


def dense(in_features: int, embedding_dim: int) -> nn.Sequential:
    """Make the dense layer that ends in the embedding."""
    return nn.Sequential(nn.Linear(in_features, embedding_dim), nn.ReLU())
