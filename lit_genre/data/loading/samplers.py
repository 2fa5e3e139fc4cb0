"""Draw the clips that each process reads: of which tracks, from which start, and in which order."""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

GRID_OVERLAP: Final = 0.75
"""Part of a clip that the next one repeats, on the grid from which training draws its clips if spectrograms are cached.
With more overlap the clips vary more, and the cache is larger: at 0.75 it has four clips for each clip length."""


class Clip(NamedTuple):
    """An excerpt of a track: position of the track in the data set, and first sample."""

    position: int
    start: int


class Tracks(Protocol):
    """A data set with the ids and lengths of its tracks, shapes (t,), and the length of a clip, in samples."""

    track_ids: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    clip_samples: int

    def __len__(self) -> int: ...


# Both are subclasses of DistributedSampler, so that Lightning calls set_epoch and does not replace them. Its own
# sampler repeats clips so that all processes read equally many.


class RandomClipSampler(DistributedSampler[Clip]):
    """Draws one clip of each track per epoch, in random order and from a random position.

    Order and positions depend only on seed and epoch, so that a resumed run reads the clips that an uninterrupted one
    would have read. Several processes divide each batch: in each step, all together read what one process would read
    with a batch of their total size. Up to `world_size - 1` clips of an epoch are left out.

    Args:
        dataset: The tracks.
        seed: Determines order and positions.
        batch_size: Number of clips in a batch of one process.
        rank: Number of this process, from 0 on.
        world_size: Number of processes.
        weights: Probability of each track, shape (t,): an epoch draws as many clips as there are tracks, with
            replacement. None to draw each track once.
        on_grid: Whether to draw the positions from `window_starts` with `GRID_OVERLAP`, so that clips recur and can be
            cached.
    """

    def __init__(
        self,
        dataset: Tracks,
        seed: int,
        batch_size: int = 1,
        rank: int = 0,
        world_size: int = 1,
        weights: NDArray[np.float64] | None = None,
        on_grid: bool = False,
    ) -> None:
        super().__init__(dataset, world_size, rank, seed=seed)  # type: ignore[arg-type]
        self.tracks = dataset
        self.batch_size = batch_size
        self.weights = weights
        self.on_grid = on_grid
        self._skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0 on, whose order and positions are drawn next."""
        if epoch != self.epoch:
            self._skipped = 0
        super().set_epoch(epoch)

    def skip(self, n_clips: int) -> None:
        """Skip the first clips of this process in this epoch, which a run has read before it was stopped."""
        self._skipped = n_clips

    def __len__(self) -> int:
        whole, rest = divmod(len(self.tracks), self.batch_size * self.num_replicas)
        return whole * self.batch_size + rest // self.num_replicas

    def __iter__(self) -> Iterator[Clip]:
        # A generator for each epoch: the draws do not depend on what else uses random numbers.
        random = np.random.default_rng((self.seed, self.epoch))
        n = len(self.tracks)
        positions = random.permutation(n) if self.weights is None else random.choice(n, n, p=self.weights)
        starts = self._starts(self.tracks.n_samples[positions], random.random(n))
        own = np.flatnonzero(self._ranks() == self.rank)[self._skipped :]
        return map(Clip, positions[own].tolist(), starts[own].tolist())

    def _ranks(self) -> NDArray[np.int64]:
        """Return the rank of the process that reads each clip of the epoch, shape (t,); `world_size` for none."""
        whole, rest = divmod(len(self.tracks), self.batch_size * self.num_replicas)
        step, within = np.divmod(np.arange(len(self.tracks)), self.batch_size * self.num_replicas)
        share = np.where(step < whole, self.batch_size, rest // self.num_replicas)
        return np.asarray(np.where(share > 0, within // np.maximum(share, 1), self.num_replicas))

    def _starts(self, n_samples: NDArray[np.int64], fraction: NDArray[np.float64]) -> NDArray[np.int64]:
        """Map random numbers, 0 to 1, to first samples in tracks, shapes (t,)."""
        if self.on_grid:
            choices = [window_starts(n, self.tracks.clip_samples, GRID_OVERLAP) for n in n_samples.tolist()]
            drawn = [starts[int(number * len(starts))] for number, starts in zip(fraction, choices, strict=True)]
            return np.array(drawn, dtype=np.int64)
        spare = np.maximum(0, n_samples - self.tracks.clip_samples)
        return np.asarray(fraction * (spare + 1), dtype=np.int64)


class EvaluationClipSampler(DistributedSampler[Clip]):
    """Covers each track with as few clips as possible, evenly spaced from its first sample to its last.

    Each track is read by one of the processes. If there are fewer tracks than processes, some processes repeat a track,
    because each must take part in the collective operations; the mean over the clips of a track stays the same.

    Args:
        dataset: The tracks.
        rank: Number of this process, from 0 on.
        world_size: Number of processes.
    """

    def __init__(self, dataset: Tracks, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(dataset, world_size, rank, shuffle=False)  # type: ignore[arg-type]
        positions = range(rank, len(dataset), world_size) or [rank % len(dataset)]
        self.clips = [
            Clip(position, int(start))
            for position in positions
            for start in window_starts(int(dataset.n_samples[position]), dataset.clip_samples)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


def window_starts(n_samples: int, clip_samples: int, overlap: float = 0.0) -> NDArray[np.int64]:
    """Return the first samples of as few evenly spaced clips as cover a track.

    A remainder of less than a twentieth of a step is left out: a whole clip more would cost more than it adds.

    Args:
        n_samples: Length of the track, samples.
        clip_samples: Length of a clip, samples.
        overlap: Least part of a clip that the next one repeats, 0 to 1.

    Returns:
        First sample of each clip, shape (w,), int64.

    >>> window_starts(1000, 400)
    array([  0, 300, 600])
    >>> window_starts(1000, 400, overlap=0.5)
    array([  0, 200, 400, 600])
    >>> window_starts(300, 400)
    array([0])
    """
    steps = (n_samples / clip_samples - 1) / (1 - overlap)
    count = 1 + max(0, math.ceil(steps - 0.05))
    return np.linspace(0, max(0, n_samples - clip_samples), count).round().astype(np.int64)
