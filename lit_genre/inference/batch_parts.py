"""Compute a batch in smaller parts where it does not fit the memory of the device."""

from collections.abc import Callable

import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from torch import Tensor

from lit_genre.console import console
from lit_genre.errors import LitGenreError


class BatchParts:
    """Computes batches, in parts after the device was out of memory.

    After such an error the batch is computed again in two parts, and so on; later batches are divided into parts of
    the size that was found.

    Args:
        compute: Function from waveforms, shape (b, n), to tensors with b rows, such as probabilities and embeddings.
    """

    def __init__(self, compute: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self._compute = compute
        self._part_size: int | None = None

    def __call__(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Compute one batch.

        Args:
            waveform: Shape (b, n).

        Returns:
            What `compute` returns for the whole batch.

        Raises:
            LitGenreError: A single clip does not fit.
        """
        while True:
            size = min(self._part_size or len(waveform), len(waveform))
            try:
                parts = [self._compute(part) for part in torch.split(waveform, size)]
                return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))
            except RuntimeError as error:
                # The messages of CUDA, of the CPU's allocator, and of Apple's GPUs.
                if not (is_oom_error(error) or "out of memory" in str(error)):
                    raise
                if size == 1:
                    raise LitGenreError(
                        f"A clip of {waveform.shape[1]:,} samples does not fit the memory of the device. Use a shorter "
                        "clip_seconds, or --device cpu."
                    ) from error
            # Here the error, which holds the tensors of the failed computation, is gone.
            garbage_collection_cuda()
            self._part_size = (size + 1) // 2
            console.print(f"A batch of {size} clips does not fit the memory. Using {self._part_size} clips.")
