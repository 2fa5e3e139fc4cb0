"""The line about batch normalisation in several processes."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from lit_genre.model.classifier import GenreClassifier
from tests.helpers.plain_net import PlainNet
from tests.model.test_classifier import CLASSES, small


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Make a trainer that takes itself for one of two processes."""
    monkeypatch.setattr(Trainer, "world_size", 2)
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def said_by(model: GenreClassifier, trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    trainer.strategy.connect(model)
    model.trainer = trainer
    model.on_fit_start()
    return " ".join("".join(capsys.readouterr()).split())


def test_layers_that_normalise_the_share_of_a_process_are_reported(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "2 batch normalisation layers use the statistics of the clips of their own process, 1 of 2"
    said = said_by(small(), trainer, capsys)
    assert text in said
    # torch synchronises on accelerators alone.
    assert "sync_batchnorm" not in said
    monkeypatch.setattr(trainer.strategy, "_root_device", torch.device("cuda:0"), raising=False)
    monkeypatch.setattr(type(trainer.strategy), "root_device", torch.device("cuda:0"))
    assert "--trainer.sync_batchnorm=true" in said_by(small(), trainer, capsys)
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    assert said_by(small(), trainer, capsys) == ""


def test_what_does_not_depend_on_the_share_is_not_reported(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synchronized = small()
    synchronized.backbone = nn.SyncBatchNorm.convert_sync_batchnorm(synchronized.backbone)
    frozen = small()
    frozen.backbone.eval()
    for model in (synchronized, frozen, GenreClassifier(PlainNet, CLASSES, clip_seconds=1)):
        assert said_by(model, trainer, capsys) == ""
    monkeypatch.setattr(Trainer, "world_size", 1)
    assert said_by(small(), trainer, capsys) == ""
