"""Convolution blocks, dropout, LSTM and dense layers of the baseline networks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlocks(nn.Sequential):
    """Blocks of convolution, batch norm, max-pool, ReLU and dropout.

    ReLU after the max-pool gives the same values as before it, with fewer operations. The convolutions have no bias,
    because batch normalisation would cancel it. Feature maps have the memory format channels_last, which takes two
    thirds of the time on a CPU.

    Args:
        channels: Channels of the input, then of each block.
        kernel_size: Rows and columns of each kernel, odd.
        pool: Rows and columns of each pooling window; an incomplete window at the end is kept.
        dropout: Probability, 0 to 1, after each block.

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
        """Compute feature maps.

        Args:
            maps: Feature maps, shape (b, channels[0], rows, columns).

        Returns:
            Feature maps, shape (b, channels[-1], rows / pool[0] ** blocks, columns / pool[1] ** blocks), rounded up.
        """
        # The convolutions keep the memory format of their input, so that one conversion suffices.
        maps = maps.contiguous(memory_format=torch.channels_last)
        for block in self:
            maps = block(maps)
        return maps


class Dropout(nn.Dropout):
    """torch's dropout, with a faster mask on a CPU.

    On a CPU other than Intel's, torch draws the numbers of the mask one by one, in double precision. That takes a sixth
    of a training step. Here one random int64 gives four 16-bit numbers. The probability is rounded down to a multiple
    of 2⁻¹⁶.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Set random values to 0 and scale the others, in training only.

        Args:
            input: Any shape, floating point.

        Returns:
            The same shape and dtype.
        """
        if not self.training or input.device.type != "cpu" or self.p in (0, 1):
            return super().forward(input)
        drawn = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        # The strides of the input, which may be channels_last: a product of two memory formats is slow.
        drawn = drawn.as_strided(input.shape, torch.empty_like(input, device="meta").stride())
        # int16 numbers are -2¹⁵ .. 2¹⁵ - 1, so a part p of them is below p · 2¹⁶ - 2¹⁵.
        kept = drawn >= int(self.p * 2**16) - 2**15
        return input * (kept.to(input.dtype) * (1 / (1 - self.p)))


class LSTM(nn.LSTM):
    """torch's LSTM, in float32 under autocast on a CPU and on an Apple GPU, where some machines have no 16-bit LSTM.

    On an Apple GPU, torch 2.11 to 2.13 computes wrong gradients if there is dropout between layers
    (https://github.com/pytorch/pytorch/issues/190056). There, each layer is computed by a call of its own.
    """

    def forward(self, input: Tensor, hx: Any = None) -> Any:  # type: ignore[override]
        """Compute the states, as torch.nn.LSTM does.

        Args:
            input: Sequences, shape (b, f, c), with `batch_first`.
            hx: First states, as torch.nn.LSTM takes them; None for zeros.

        Returns:
            The states, shape (b, f, d), and a pair of the last hidden and cell states.
        """
        device = input.device.type
        if device not in ("cpu", "mps") or not torch.is_autocast_enabled(device):
            return self._compute(input, hx)
        with torch.autocast(device, enabled=False):
            return self._compute(input.float(), hx)

    def _compute(self, input: Tensor, hx: Any) -> Any:
        if input.device.type == "mps" and self.training and self.dropout and hx is None and not self.bidirectional:
            return self._compute_layers(input)
        return super().forward(input, hx)

    def _compute_layers(self, input: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Compute the layers one after another, from states of zero, with dropout between them."""
        zeros = input.new_zeros(1, input.shape[0 if self.batch_first else 1], self.hidden_size)
        hidden, cells = [], []
        for number, weights in enumerate(self.all_weights):
            if number:
                input = F.dropout(input, self.dropout)
            input, last, cell = torch.lstm(
                input, (zeros, zeros), list[Tensor](weights), self.bias, 1, 0.0, True, False, self.batch_first
            )
            hidden.append(last)
            cells.append(cell)
        return input, (torch.cat(hidden), torch.cat(cells))


def dense(in_features: int, embedding_dim: int) -> nn.Sequential:
    """Return the last layer of a network, linear and ReLU.

    Args:
        in_features: Size of its input.
        embedding_dim: Size of its output, the embedding.

    Returns:
        A module from (b, in_features) to (b, embedding_dim).
    """
    return nn.Sequential(nn.Linear(in_features, embedding_dim), nn.ReLU())
