from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lit_genre.data.audio import decode
from lit_genre.data.dataset import Clip, ClipDataset, EvenClips, RandomClips, even_starts
from lit_genre.data.fma import Track
from lit_genre.data.store_builder import build_store
from tests.conftest import tone

RATE = 22050
CLIP = RATE // 2


@pytest.fixture
def dataset(tmp_path: Path) -> ClipDataset:
    """Three tracks of 0.2, 0.5 and 2 s, read in clips of 0.5 s."""
    files = {}
    for track_id, seconds in ((7, 0.2), (8, 0.5), (9, 2.0)):
        files[track_id] = tmp_path / f"{track_id}.wav"
        soundfile.write(files[track_id], tone(100 * track_id, seconds), RATE)
    tracks = [Track(k, "train", genre, "", 1, "") for k, genre in zip(files, ("Pop", "Folk", "Pop"), strict=True)]
    return ClipDataset(build_store(tmp_path / "s", files, RATE), tracks, ["Folk", "Pop"], CLIP)


def test_batch_is_int16_with_label_and_track(dataset: ClipDataset) -> None:
    batch = dataset.__getitems__([Clip(2, 100), Clip(1, 0)])
    assert batch.waveform.dtype == torch.int16
    assert batch.waveform.shape == (2, CLIP)
    assert batch.label.tolist() == [1, 0]
    assert batch.track_id.tolist() == [9, 8]


def test_reads_from_the_start_asked_for(dataset: ClipDataset, tmp_path: Path) -> None:
    pcm = decode(tmp_path / "9.wav", RATE)
    assert (dataset[Clip(2, 1234)].waveform[0].numpy() == pcm[1234 : 1234 + CLIP]).all()


def test_a_short_track_is_repeated_not_filled_with_silence(dataset: ClipDataset, tmp_path: Path) -> None:
    pcm = decode(tmp_path / "7.wav", RATE)
    clip = dataset[Clip(0, 0)].waveform[0].numpy()
    assert (clip == np.resize(pcm, CLIP)).all()


@pytest.mark.parametrize(
    ("n_samples", "clip_samples"), [(1000, 400), (1000, 1000), (1000, 333), (100, 400), (29976, 5000)]
)
def test_even_starts_cover_the_track_without_leaving_it(n_samples: int, clip_samples: int) -> None:
    starts = even_starts(n_samples, clip_samples)
    heard = np.zeros(n_samples, dtype=bool)
    for start in starts:
        assert 0 <= start <= max(0, n_samples - clip_samples)
        heard[start : start + clip_samples] = True
    assert heard.mean() >= 0.95
    assert len(starts) <= n_samples // clip_samples + 1


def test_every_track_once_an_epoch_in_an_order_that_changes(dataset: ClipDataset) -> None:
    sampler = RandomClips(dataset, seed=3)
    epochs = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(clip.position for clip in epochs[-1]) == [0, 1, 2]
    assert len({tuple(clip.position for clip in clips) for clips in epochs}) > 1
    assert len({clip.start for clips in epochs for clip in clips if clip.position == 2}) == 6


def test_order_and_starts_follow_from_seed_and_epoch(dataset: ClipDataset) -> None:
    first, second, other = RandomClips(dataset, 3), RandomClips(dataset, 3), RandomClips(dataset, 4)
    for sampler in (first, second, other):
        sampler.set_epoch(5)
    list(first)
    assert list(first) == list(second)
    assert list(first) != list(other)


def test_random_starts_stay_inside_and_reach_the_ends(dataset: ClipDataset) -> None:
    sampler = RandomClips(dataset, 0)
    starts = []
    for epoch in range(300):
        sampler.set_epoch(epoch)
        starts += [clip.start for clip in sampler if clip.position == 2]
    spare = 2 * RATE - CLIP
    assert 0 <= min(starts) < 0.05 * spare
    assert 0.95 * spare < max(starts) <= spare


def test_evaluation_reads_every_clip_of_every_track(dataset: ClipDataset) -> None:
    clips = list(EvenClips(dataset))
    assert [clip.position for clip in clips] == [0, 1, 2, 2, 2, 2]
    assert clips[-1].start == 2 * RATE - CLIP
