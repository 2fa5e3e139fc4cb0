"""Which clips are read, in which order, by which process."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler


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

    Order and places follow from (seed, epoch, track) alone, so that a resumed run hears what an uninterrupted one would
    have heard. Of several processes each gets its part of every batch: together they hear, step by step, what one
    process would with a batch as large as all of theirs. Up to `world_size - 1` clips of an epoch are left out.

    Args:
        dataset: The tracks.
        seed: Fixes order and places.
        batch_size: Clips in a batch of one process.
        rank: Number of this process.
        world_size: Number of processes.
        weights: Probability of each track, shape (t,): an epoch draws as many clips as there are tracks, each track
            as often as that says. None for each once.
        even: Take the places from those of `even_starts`, so that clips come again.
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
        order = np.random.default_rng((self.seed, self.epoch))
        n = len(self.tracks)
        positions = order.permutation(n) if self.weights is None else order.choice(n, n, p=self.weights)
        drawn: dict[int, int] = {}
        ours = 0
        for place, position in enumerate(positions.tolist()):
            draw = drawn[position] = drawn.get(position, -1) + 1
            if self._is_ours(place):
                ours += 1
                if ours > self._skipped:
                    yield Clip(position, self._start(position, draw))

    def _is_ours(self, place: int) -> bool:
        step, within = divmod(place, self.batch_size * self.num_replicas)
        whole, rest = divmod(len(self.tracks), self.batch_size * self.num_replicas)
        share = self.batch_size if step < whole else rest // self.num_replicas
        return share > 0 and within // share == self.rank

    def _start(self, position: int, draw: int) -> int:
        track_id, n_samples = int(self.tracks.track_ids[position]), int(self.tracks.n_samples[position])
        key = (self.seed, self.epoch, track_id) + ((draw,) if draw else ())
        place = np.random.default_rng(key).random()
        if self.even:
            starts = even_starts(n_samples, self.tracks.clip_samples)
            return int(starts[int(place * len(starts))])
        return int(place * (max(0, n_samples - self.tracks.clip_samples) + 1))


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
