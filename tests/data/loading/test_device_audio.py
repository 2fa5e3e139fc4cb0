from pathlib import Path

import numpy as np
import soundfile
import torch

from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.device_audio import DeviceAudio
from lit_genre.data.loading.samplers import Clip, RandomClipSampler
from lit_genre.data.store.builder import build_store
from tests.helpers.audio import tone

RATE = 8000


def test_looks_up_what_would_have_been_read(tmp_path: Path) -> None:
    files = {}
    for track_id, seconds in ((5, 0.3), (3, 2.0), (2**52 + 1, 0.7)):
        files[track_id] = tmp_path / f"{track_id}.wav"
        soundfile.write(files[track_id], tone(50 * (track_id % 12 + 1), seconds, RATE), RATE)
    dataset = ClipDataset(build_store(tmp_path / "store", files, RATE), list(files), np.arange(3), RATE // 2)
    resident = DeviceAudio(dataset, torch.device("cpu"))
    sampler = RandomClipSampler(dataset, 0)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        clips: list[Clip] = list(sampler)
        batch = dataset.__getitems__(clips)
        assert batch.start is not None
        assert torch.equal(resident.clips(batch.track_id, batch.start), batch.waveform)
