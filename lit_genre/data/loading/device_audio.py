"""The training split in the accelerator's memory: a batch is an index look-up, and no PCM travels."""

import numpy as np
import torch
from torch import Tensor

from lit_genre.console import progress
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.errors import LitGenreError


class ResidentPCM:
    """All tracks of a data set in one tensor, each at least as long as a clip.

    Args:
        dataset: The tracks to hold.
        device: Where to hold them.

    Raises:
        LitGenreError: They do not fit.
    """

    def __init__(self, dataset: ClipDataset, device: torch.device) -> None:
        lengths = np.maximum(dataset.n_samples, dataset.clip_samples)
        ends = lengths.cumsum()
        try:
            self._pcm = torch.empty(int(ends[-1]), dtype=torch.int16, device=device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise LitGenreError(
                f"The training split has {2 * ends[-1] / 1e9:.1f} GB of PCM, which {device} has no room for: "
                "leave data.residence at disk."
            ) from error
        self._clip_samples = dataset.clip_samples
        # By track_id, for that is what a batch has; such numbers may be of any size.
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
        """Look up clips by track and first sample, shapes (b,), as int16 PCM, shape (b, n)."""
        offset = self._offsets[torch.searchsorted(self._track_ids, track_id)]
        return self._pcm.unfold(0, self._clip_samples, 1)[offset + start]
