"""Which clips are read, in which order, by which process."""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

DENSE: Final = 0.75
"""How much of each other the clips share that training draws from where spectrograms are kept."""


class Clip(NamedTuple):
    """An excerpt of a track: position of the track in the data set, and first sample."""

    position: int
    start: int


class Tracks(Protocol):
    """What is to be known of a data set: ids and lengths of its tracks, and the length of a clip."""

    track_ids: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    clip_samples: int

    def __len__(self) -> int: ...


# Both are DistributedSampler by type, so that Lightning tells them the epoch and leaves the sharing to them: its own
# repeats clips to make the shares equal.


class RandomClips(DistributedSampler[Clip]):
    """Every track once an epoch, in random order, each from a random place.

    Order and places follow from seed and epoch alone, so that a resumed run hears what an uninterrupted one would have
    heard. Of several processes each gets its part of every batch: together they hear, step by step, what one
    process would with a batch as large as all of theirs. Up to `world_size - 1` clips of an epoch are left out.

    Args:
        dataset: The tracks.
        seed: Fixes order and places.
        batch_size: Clips in a batch of one process.
        rank: Number of this process.
        world_size: Number of processes.
        weights: Probability of each track, shape (t,): an epoch draws as many clips as there are tracks, each track
            as often as that says. None for each once.
        even: Take the places from those of `even_starts` with `DENSE` overlap, so that clips come again.
    """

    def __init__(
        self,
        dataset: Tracks,
        seed: int,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        weights: NDArray[np.float64] | None = None,
        even: bool = False,
    ) -> None:
        super().__init__(dataset, world_size, rank, seed=seed)  # type: ignore[arg-type]
        self.tracks = dataset
        self.batch_size = batch_size
        self.weights = weights
        self.even = even
        self._skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the next order and places for this epoch, from 0 on."""
        if epoch != self.epoch:
            self._skipped = 0
        super().set_epoch(epoch)

    def skip(self, n_clips: int) -> None:
        """Leave out the first clips of this process in this epoch: a run that stopped behind them has heard them."""
        self._skipped = n_clips

    def __len__(self) -> int:
        whole, rest = divmod(len(self.tracks), self.batch_size * self.num_replicas)
        return whole * self.batch_size + rest // self.num_replicas

    def __iter__(self) -> Iterator[Clip]:
        random = np.random.default_rng((self.seed, self.epoch))
        n = len(self.tracks)
        positions = random.permutation(n) if self.weights is None else random.choice(n, n, p=self.weights)
        starts = self._starts(self.tracks.n_samples[positions], random.random(n))
        ours = np.flatnonzero(self._shares() == self.rank)[self._skipped :]
        return map(Clip, positions[ours].tolist(), starts[ours].tolist())

    def _shares(self) -> NDArray[np.int64]:
        """Number the process that hears each clip of the epoch, shape (t,)."""
        whole, rest = divmod(len(self.tracks), self.batch_size * self.num_replicas)
        step, within = np.divmod(np.arange(len(self.tracks)), self.batch_size * self.num_replicas)
        share = np.where(step < whole, self.batch_size, rest // self.num_replicas)
        return np.asarray(np.where(share > 0, within // np.maximum(share, 1), self.num_replicas))

    def _starts(self, n_samples: NDArray[np.int64], place: NDArray[np.float64]) -> NDArray[np.int64]:
        """Map places, 0 to 1, in tracks to first samples, shapes (t,)."""
        if self.even:
            choices = [even_starts(n, self.tracks.clip_samples, DENSE) for n in n_samples.tolist()]
            chosen = [starts[int(p * len(starts))] for p, starts in zip(place, choices, strict=True)]
            return np.array(chosen, dtype=np.int64)
        spare = np.maximum(0, n_samples - self.tracks.clip_samples)
        return np.asarray(place * (spare + 1), dtype=np.int64)


class EvenClips(DistributedSampler[Clip]):
    """Every track by as few clips as cover it, evenly spaced from its first sample to its last.

    Several processes share the tracks out, each track to one of them. A process for which none is left repeats one,
    for all must take part; the mean over a track's clips is the same for that.

    Args:
        dataset: The tracks.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, dataset: Tracks, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(dataset, world_size, rank, shuffle=False)  # type: ignore[arg-type]
        ours = range(rank, len(dataset), world_size) or [rank % len(dataset)]
        self.clips = [
            Clip(position, int(start))
            for position in ours
            for start in even_starts(int(dataset.n_samples[position]), dataset.clip_samples)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


def even_starts(n_samples: int, clip_samples: int, overlap: float = 0.0) -> NDArray[np.int64]:
    """Space as few clips as cover a track evenly, each sharing at least a part `overlap`, 0 to 1, with the next.

    A remainder of less than a twentieth of a step is left out rather than heard by a whole clip more.

    >>> even_starts(1000, 400)
    array([  0, 300, 600])
    >>> even_starts(1000, 400, overlap=0.5)
    array([  0, 200, 400, 600])
    >>> even_starts(300, 400)
    array([0])
    """
    steps = (n_samples / clip_samples - 1) / (1 - overlap)
    count = 1 + max(0, math.ceil(steps - 0.05))
    return np.linspace(0, max(0, n_samples - clip_samples), count).round().astype(np.int64)
