from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from lit_genre.data.loading.samplers import GRID_OVERLAP, EvaluationClipSampler, RandomClipSampler, window_starts
from lit_genre.data.metadata.labels import balanced_weights

RATE = 22050
CLIP = RATE // 2


@dataclass
class Lengths:
    """Tracks of which only numbers and lengths are known."""

    n_samples: NDArray[np.int64]
    clip_samples: int = CLIP

    @property
    def track_ids(self) -> NDArray[np.int64]:
        return np.arange(len(self.n_samples)) + 7

    def __len__(self) -> int:
        return len(self.n_samples)


@pytest.fixture
def dataset() -> Lengths:
    """Three tracks of 0.2, 0.5 and 2 s, read in clips of 0.5 s."""
    return Lengths(np.array([int(0.2 * RATE), CLIP, 2 * RATE]))


@pytest.mark.parametrize(
    ("n_samples", "clip_samples"), [(1000, 400), (1000, 1000), (1000, 333), (100, 400), (29976, 5000)]
)
def test_even_starts_cover_the_track_without_leaving_it(n_samples: int, clip_samples: int) -> None:
    starts = window_starts(n_samples, clip_samples)
    heard = np.zeros(n_samples, dtype=bool)
    for start in starts:
        assert 0 <= start <= max(0, n_samples - clip_samples)
        heard[start : start + clip_samples] = True
    assert heard.mean() >= 0.95
    assert len(starts) <= n_samples // clip_samples + 1


def test_every_track_once_an_epoch_in_an_order_that_changes(dataset: Lengths) -> None:
    sampler = RandomClipSampler(dataset, seed=3)
    epochs = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(clip.position for clip in epochs[-1]) == [0, 1, 2]
    assert len({tuple(clip.position for clip in clips) for clips in epochs}) > 1
    assert len({clip.start for clips in epochs for clip in clips if clip.position == 2}) == 6


def test_order_and_starts_follow_from_seed_and_epoch(dataset: Lengths) -> None:
    first, second, other = RandomClipSampler(dataset, 3), RandomClipSampler(dataset, 3), RandomClipSampler(dataset, 4)
    for sampler in (first, second, other):
        sampler.set_epoch(5)
    list(first)
    assert list(first) == list(second)
    assert list(first) != list(other)


def test_random_starts_stay_inside_and_reach_the_ends(dataset: Lengths) -> None:
    sampler = RandomClipSampler(dataset, 0)
    starts = []
    for epoch in range(300):
        sampler.set_epoch(epoch)
        starts += [clip.start for clip in sampler if clip.position == 2]
    spare = 2 * RATE - CLIP
    assert 0 <= min(starts) < 0.05 * spare
    assert 0.95 * spare < max(starts) <= spare


def test_evaluation_reads_every_clip_of_every_track(dataset: Lengths) -> None:
    clips = list(EvaluationClipSampler(dataset))
    assert [clip.position for clip in clips] == [0, 1, 2, 2, 2, 2]
    assert clips[-1].start == 2 * RATE - CLIP


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("n_tracks", [24, 25, 29, 3])
def test_processes_hear_together_what_one_hears_alone(world_size: int, n_tracks: int) -> None:
    dataset = Lengths(np.full(n_tracks, 3 * CLIP))
    batch_size = 4
    alone = list(RandomClipSampler(dataset, seed=3, batch_size=batch_size * world_size))
    shares = [list(RandomClipSampler(dataset, 3, batch_size, rank, world_size)) for rank in range(world_size)]
    assert {len(share) for share in shares} == {len(RandomClipSampler(dataset, 3, batch_size, 0, world_size))}
    steps = [alone[first : first + batch_size * world_size] for first in range(0, n_tracks, batch_size * world_size)]
    for step, clips in enumerate(steps):
        together = [clip for share in shares for clip in share[step * batch_size : (step + 1) * batch_size]]
        assert together == clips[: len(clips) - len(clips) % world_size]


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_processes_evaluate_each_track_whole_and_none_is_without_one(dataset: Lengths, world_size: int) -> None:
    shares = [list(EvaluationClipSampler(dataset, rank, world_size)) for rank in range(world_size)]
    assert all(shares)
    whole = set(EvaluationClipSampler(dataset))
    assert set().union(*shares) == whole
    for share in shares:
        for position in {clip.position for clip in share}:
            assert {clip for clip in share if clip.position == position} == {
                clip for clip in whole if clip.position == position
            }


def test_balanced_sampling_draws_each_genre_alike() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    sampler = RandomClipSampler(Lengths(np.full(100, 3 * CLIP)), 0, weights=balanced_weights(labels))
    drawn, places = [], set()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        clips = list(sampler)
        assert len(clips) == 100
        drawn += [int(labels[clip.position]) for clip in clips]
        places |= {clip.start for clip in clips if clip.position == 95}
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.03)
    # Twice in an epoch, it is heard from two places.
    assert len(places) > 100


def test_places_that_come_again_are_a_quarter_of_a_clip_apart(dataset: Lengths) -> None:
    sampler = RandomClipSampler(dataset, 0, on_grid=True)
    heard = set()
    for epoch in range(300):
        sampler.set_epoch(epoch)
        heard |= set(sampler)
    for position, n_samples in enumerate(dataset.n_samples.tolist()):
        places = sorted(clip.start for clip in heard if clip.position == position)
        assert places == window_starts(n_samples, CLIP, GRID_OVERLAP).tolist()
        assert all(CLIP / 5 < later - earlier <= 1.05 * CLIP / 4 for earlier, later in pairwise(places))


def test_clips_that_overlap_share_at_least_what_is_asked() -> None:
    for overlap in (0.0, 0.3, 0.5, 0.75):
        starts = window_starts(10 * CLIP + 7, CLIP, overlap)
        assert starts[0] == 0
        assert starts[-1] == 9 * CLIP + 7
        # A twentieth of a step may be left out.
        assert np.diff(starts).max() <= (1 - overlap) * CLIP * 1.05
