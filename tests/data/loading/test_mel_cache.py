import errno
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_genre.data.loading.mel_cache import MelCache
from tests.data.loading.test_samplers import CLIP, Lengths

SHAPE = (4, 6)


def opened(folder: Path, key: str = "LogMel", changed: int = 0) -> MelCache:
    sources = np.array([[100, 1], [300, 1 + changed]])
    return MelCache(folder, "train", key, Lengths(np.array([CLIP, 3 * CLIP])), sources, SHAPE)


# Track 7 has one clip, track 8 three.
CLIPS = ([7, 8, 8, 8], [0, 0, CLIP, 2 * CLIP])
MEL = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_what_was_kept_is_read_back_within_half_a_float16_step(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert cache.read(*CLIPS) is None
    cache.keep(*CLIPS, MEL)
    for reader in (cache, opened(tmp_path)):
        cache.commit()
        found = reader.read(CLIPS[0][::-1], CLIPS[1][::-1])
        assert found is not None
        assert found.dtype == torch.float16
        assert (found.float().flip(0) - MEL).abs().max() <= 2.5e-4


def test_a_batch_of_which_one_clip_is_not_there_is_not_there(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.keep([8], [CLIP], MEL[:1])
    assert cache.read([8], [CLIP]) is not None
    assert cache.read([8, 7], [CLIP, 0]) is None
    mel, kept = cache.read_cached([8, 7], [CLIP, 0])
    assert kept.tolist() == [True, False]
    assert torch.equal(mel[0], MEL[0].half())


def test_what_is_not_on_the_disk_does_not_count(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.keep(*CLIPS, MEL)
    assert opened(tmp_path).read(*CLIPS) is None
    cache.commit()
    assert opened(tmp_path).read(*CLIPS) is not None


def test_another_front_end_has_its_own(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.keep(*CLIPS, MEL)
    cache.commit()
    assert opened(tmp_path, "LogMel, 64 bands").read(*CLIPS) is None


def test_a_file_that_changed_is_heard_again(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.keep(*CLIPS, MEL)
    cache.commit()
    assert opened(tmp_path).read(*CLIPS) is not None
    assert opened(tmp_path, changed=1).read(*CLIPS) is None


def test_a_row_that_is_cut_short_by_a_full_disk_does_not_count(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    row = 2 * SHAPE[0] * SHAPE[1]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * row - 10, before[1]))
    try:
        cache.keep(*CLIPS, MEL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    cache.commit()
    assert cache.read([8], [CLIP]) is None


def test_a_full_disk_ends_the_keeping_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = opened(tmp_path)

    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        cache.keep(*CLIPS, MEL)
        cache.keep(*CLIPS, MEL)
    assert "".join(capsys.readouterr()).count("No space left on device. The run continues.") == 1
    assert cache.read(*CLIPS) is None
