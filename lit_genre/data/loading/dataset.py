"""Read clips of tracks, whose starts `lit_genre.data.loading.samplers` has drawn, as batches."""

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

    A track shorter than the clip is repeated until it fills the clip: a network would learn padding with silence.

    Args:
        source: Source of the samples.
        track_ids: Ids of the tracks, all of them in the source.
        labels: Labels of the tracks, shape (t,) or, for the multilabel task, (t, c); int64.
        clip_samples: Length of every clip, samples.

    Attributes:
        sources: Size, bytes, and time of modification, ns, of each file, shape (t, 2), int64.
        reads_samples: Whether batches have samples; false if the samples are on the device already.
        cache: Cache of spectrograms; a batch whose spectrograms are all cached has no samples.
    """

    def __init__(self, source: AudioSource, track_ids: list[int], labels: NDArray[np.int64], clip_samples: int) -> None:
        self.source = source
        self.clip_samples = clip_samples
        self.labels = labels
        # Arrays: a list of records would be copied into each worker, page by page, as its reference counts change.
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
        """Read a batch; PyTorch's DataLoader calls this method instead of `__getitem__` for each clip.

        Args:
            clips: The clips, or positions of tracks, which Lightning's overfit_batches passes.

        Returns:
            The batch, on the CPU.
        """
        excerpts = [clip if isinstance(clip, Clip) else Clip(clip, 0) for clip in clips]
        positions, starts = [clip.position for clip in excerpts], [clip.start for clip in excerpts]
        track_ids = self.track_ids[positions]
        mel = self.cache.read(track_ids.tolist(), starts) if self.cache else None
        # Without samples, the batch has a waveform of shape (b, 0), which costs nothing to pass between processes.
        n_samples = self.clip_samples if self.reads_samples and mel is None else 0
        waveform = np.empty((len(clips), n_samples), dtype=np.int16)
        if n_samples:
            for row, clip in zip(waveform, excerpts, strict=True):
                self.fill(*clip, row)
        columns = (waveform, self.labels[positions], track_ids, np.array(starts, dtype=np.int64))
        return Batch(*map(torch.from_numpy, columns))._replace(mel=mel)

    def fill(self, position: int, start: int, row: NDArray[np.int16]) -> None:
        """Fill an array with samples of a track, and repeat them if the track ends before.

        Args:
            position: Position of the track in this data set.
            start: First sample to read.
            row: Array to fill, shape (n,), int16 PCM.
        """
        n_read = self.source.read(int(self.track_ids[position]), start, row)
        # np.resize repeats the samples.
        if n_read < len(row):
            row[:] = np.resize(row[:n_read], len(row))
