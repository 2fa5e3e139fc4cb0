"""From clips to batches: what is read of which track."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lit_genre.batch import Batch
from lit_genre.data.loading.mel_cache import MelCache
from lit_genre.data.loading.samplers import Clip
from lit_genre.data.store.pcm import AudioSource


class ClipDataset(Dataset[Batch]):
    """Reads clips of one length, a whole batch at a time.

    A track shorter than the clip is repeated until it fills it: silence in its place would be learnt.

    Args:
        source: Where the samples are.
        track_ids: Numbers of the tracks, all of them in the source.
        labels: Their labels, shape (t,) or (t, c).
        clip_samples: Length of every clip, samples.

    Attributes:
        sources: Size and time of modification of each file, shape (t, 2).
        reads_samples: Whether batches have samples; not where something else brings them.
        cache: Spectrograms to put in their place.
    """

    def __init__(self, source: AudioSource, track_ids: list[int], labels: NDArray[np.int64], clip_samples: int) -> None:
        self.source = source
        self.clip_samples = clip_samples
        self.labels = labels
        # Arrays, for a list of records is copied into each worker page by page as its reference counts change.
        self.track_ids = np.array(track_ids, dtype=np.int64)
        entries = [source.entries[track_id] for track_id in track_ids]
        self.n_samples = np.array([entry.n_samples for entry in entries], dtype=np.int64)
        self.sources = np.array([(entry.source_bytes, entry.source_mtime_ns) for entry in entries], dtype=np.int64)
        self.reads_samples = True
        self.cache: MelCache | None = None

    def __len__(self) -> int:
        return len(self.track_ids)

    def __getitem__(self, clip: Clip) -> Batch:
        return self.__getitems__([clip])

    def __getitems__(self, clips: Sequence[Clip | int]) -> Batch:
        """Read a batch: PyTorch's DataLoader calls this instead of reading one item after the other."""
        # Lightning's overfit_batches puts positions in the place of clips.
        read = [clip if isinstance(clip, Clip) else Clip(clip, 0) for clip in clips]
        positions, starts = [clip.position for clip in read], [clip.start for clip in read]
        track_ids = self.track_ids[positions]
        mel = self.cache.read(track_ids.tolist(), starts) if self.cache else None
        n_samples = self.clip_samples if self.reads_samples and mel is None else 0
        waveform = np.empty((len(clips), n_samples), dtype=np.int16)
        if n_samples:
            for row, clip in zip(waveform, read, strict=True):
                self.fill(*clip, row)
        columns = (waveform, self.labels[positions], track_ids, np.array(starts, dtype=np.int64))
        return Batch(*map(torch.from_numpy, columns))._replace(mel=mel)

    def fill(self, position: int, start: int, row: NDArray[np.int16]) -> None:
        """Read a track from `start` on into `row`, shape (n,), and repeat it to its end."""
        filled = self.source.read(int(self.track_ids[position]), start, row)
        if filled < len(row):
            row[:] = np.resize(row[:filled], len(row))
