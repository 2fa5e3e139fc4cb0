"""From tracks to batches: which part of which track is read, and when."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from lit_genre.batch import Batch
from lit_genre.data.fma import Track
from lit_genre.data.store import PCMStore


class Clip(NamedTuple):
    """An excerpt of a track: position of the track in the data set, and first sample."""

    position: int
    start: int


class ClipDataset(Dataset[Batch]):
    """Reads clips of one length from a store, a whole batch at a time.

    A track shorter than the clip is repeated until it fills it: silence in its place would be learnt.

    Args:
        store: The decoded audio.
        tracks: The tracks to read, all of them in the store.
        classes: Class names; the label of a track is the position of its genre in them.
        clip_samples: Length of every clip, samples.
    """

    def __init__(self, store: PCMStore, tracks: list[Track], classes: list[str], clip_samples: int) -> None:
        self.store = store
        self.clip_samples = clip_samples
        label_of = {name: label for label, name in enumerate(classes)}
        # Arrays, for a list of records is copied into each worker page by page as its reference counts change.
        self.track_ids = np.array([track.track_id for track in tracks], dtype=np.int64)
        self.labels = np.array([label_of[track.genre_top] for track in tracks], dtype=np.int64)
        self.n_samples = np.array([store.entries[track.track_id].n_samples for track in tracks], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.track_ids)

    def __getitem__(self, clip: Clip) -> Batch:
        return self.__getitems__([clip])

    def __getitems__(self, clips: list[Clip]) -> Batch:
        """Read a batch: PyTorch's DataLoader calls this instead of reading one item after the other."""
        positions = [clip.position for clip in clips]
        waveform = np.empty((len(clips), self.clip_samples), dtype=np.int16)
        for row, clip in zip(waveform, clips, strict=True):
            self._read(clip, row)
        return Batch(*map(torch.from_numpy, (waveform, self.labels[positions], self.track_ids[positions])))

    def _read(self, clip: Clip, row: NDArray[np.int16]) -> None:
        filled = self.store.read(int(self.track_ids[clip.position]), clip.start, row)
        while filled < len(row):
            more = min(filled, len(row) - filled)
            row[filled : filled + more] = row[:more]
            filled += more


class RandomClips(Sampler[Clip]):
    """Every track once an epoch, in random order, each from a random start.

    Order and starts follow from (seed, epoch, track) alone, so that a resumed run hears what an uninterrupted
    one would have heard. Lightning tells the epoch by `set_epoch`.
    """

    def __init__(self, dataset: ClipDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the next order and starts for this epoch, from 0 on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Clip]:
        ids, spare = self.dataset.track_ids, np.maximum(0, self.dataset.n_samples - self.dataset.clip_samples)
        for position in np.random.default_rng((self.seed, self.epoch)).permutation(len(ids)):
            place = np.random.default_rng((self.seed, self.epoch, int(ids[position]))).random()
            yield Clip(int(position), int(place * (spare[position] + 1)))


class EvenClips(Sampler[Clip]):
    """Every track by as few clips as cover it, evenly spaced from its first sample to its last."""

    def __init__(self, dataset: ClipDataset) -> None:
        self.clips = [
            Clip(position, int(start))
            for position, n_samples in enumerate(dataset.n_samples)
            for start in even_starts(int(n_samples), dataset.clip_samples)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


def even_starts(n_samples: int, clip_samples: int) -> NDArray[np.int64]:
    """Space as few clips as cover a track evenly.

    A remainder of less than a twentieth of a clip is left out rather than heard by a whole clip more.

    >>> even_starts(1000, 400)
    array([  0, 300, 600])
    >>> even_starts(300, 400)
    array([0])
    """
    count = max(1, math.ceil(n_samples / clip_samples - 0.05))
    return np.linspace(0, max(0, n_samples - clip_samples), count).round().astype(np.int64)
