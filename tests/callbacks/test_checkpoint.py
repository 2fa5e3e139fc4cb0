from pathlib import Path

import pytest
import torch

from lit_genre.callbacks.checkpoint import DurableCheckpointIO


def test_a_save_that_breaks_off_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        DurableCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
