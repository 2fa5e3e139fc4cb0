from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lit_genre.data.decoding.track_audio import decode
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.samplers import Clip
from lit_genre.data.store.builder import build_store
from tests.helpers.audio import tone

RATE = 22050
CLIP = RATE // 2


@pytest.fixture
def dataset(tmp_path: Path) -> ClipDataset:
    """Three tracks of 0.2, 0.5 and 2 s, read in clips of 0.5 s."""
    files = {}
    for track_id, seconds in ((7, 0.2), (8, 0.5), (9, 2.0)):
        files[track_id] = tmp_path / f"{track_id}.wav"
        soundfile.write(files[track_id], tone(100 * track_id, seconds), RATE)
    return ClipDataset(build_store(tmp_path / "s", files, RATE), list(files), np.array([1, 0, 1]), CLIP)


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
