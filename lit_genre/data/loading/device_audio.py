"""Hold the training split in the memory of the accelerator, so that no audio is copied for a batch."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from lit_genre.console import progress
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.errors import LitGenreError

_MAX_ON_MPS: Final = 2**31
"""Elements that a tensor on an Apple GPU must not reach."""


class DeviceAudio:
    """Holds all tracks of a data set in one tensor, each at least as long as a clip.

    Args:
        dataset: The tracks.
        device: The accelerator.

    Raises:
        LitGenreError: The tracks do not fit into the memory of the device, or into one tensor of it.
    """

    def __init__(self, dataset: ClipDataset, device: torch.device) -> None:
        # A short track is repeated to the length of a clip, so that each look-up is one slice.
        lengths = np.maximum(dataset.n_samples, dataset.clip_samples)
        ends = lengths.cumsum()
        # torch crashes, or reads zeros: https://github.com/pytorch/pytorch/issues/149325
        if device.type == "mps" and ends[-1] >= _MAX_ON_MPS:
            raise LitGenreError(
                f"The training split has {ends[-1]:,} samples, but a tensor on an Apple GPU must have fewer than "
                f"{_MAX_ON_MPS:,}. Set data.preload to disk."
            )
        try:
            self._pcm = torch.empty(int(ends[-1]), dtype=torch.int16, device=device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise LitGenreError(
                f"The training split has {2 * ends[-1] / 1e9:.1f} GB of PCM, more than fits into the memory of "
                f"{device}. Set data.preload to disk."
            ) from error
        self._clip_samples = dataset.clip_samples
        # A batch has track ids, which may be any whole numbers. A binary search finds their positions on the device.
        order = dataset.track_ids.argsort()
        self._track_ids = torch.from_numpy(dataset.track_ids[order]).to(device)
        self._offsets = torch.from_numpy((ends - lengths)[order]).to(device)
        with progress("Loading", total=len(dataset), unit="tracks") as advance:
            for position, (end, length) in enumerate(zip(ends, lengths, strict=True)):
                track = np.empty(length, dtype=np.int16)
                dataset.fill(position, 0, track)
                self._pcm[end - length : end] = torch.from_numpy(track).to(device)
                advance()

    def clips(self, track_id: Tensor, start: Tensor) -> Tensor:
        """Return clips.

        Args:
            track_id: Track id of each clip, shape (b,), int64, on the device.
            start: First sample of each clip in its track, shape (b,), int64, on the device.

        Returns:
            int16 PCM, shape (b, n), on the device.
        """
        offset = self._offsets[torch.searchsorted(self._track_ids, track_id)]
        # unfold returns a view: only the clips of the batch are copied.
        return self._pcm.unfold(0, self._clip_samples, 1)[offset + start]
