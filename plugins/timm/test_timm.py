"""TimmBackbone takes timm's networks as they are, with and without a network to fetch weights from."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lit_genre_timm import TimmBackbone

from lit_genre import GenreClassifier, LitGenreError
from lit_genre.testing import check_backbone, check_config


def test_contract() -> None:
    check_backbone(TimmBackbone)


# Another size of the last layer than of the features, a fixed size of picture, and stochastic depth.
@pytest.mark.parametrize("model_name", ["mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_contract_of_other_kinds(model_name: str) -> None:
    check_backbone(partial(TimmBackbone, model_name=model_name, dropout=0.1, drop_path=0.1))


def test_config() -> None:
    check_config(Path(__file__).with_name("timm.yaml"))


def test_an_unknown_network_is_answered_by_those_of_like_name() -> None:
    with pytest.raises(ValueError, match="no network 'resnet81'. Did you mean .*resnet18"):
        TimmBackbone((128, 130), model_name="resnet81")


def test_weights_that_cannot_be_had_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="weights of resnet18.* cannot be had: .*pretrained: false"):
        TimmBackbone((128, 130), pretrained=True)
    # At the command line, which shows this error's text and nothing more.
    with pytest.raises(LitGenreError, match="TimmBackbone cannot be built .*cannot be had"):
        GenreClassifier(partial(TimmBackbone, pretrained=True), ["Folk", "Rock"])


def test_a_checkpoint_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    asked: list[bool] = []

    def create(name: str, pretrained: bool, **options: object) -> torch.nn.Module:
        asked.append(pretrained)
        return real(name, pretrained=False, **options)

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    model = GenreClassifier(partial(TimmBackbone, pretrained=True), ["Folk", "Rock"], clip_seconds=1)
    from lightning.pytorch import Trainer

    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = GenreClassifier.load_from_checkpoint(tmp_path / "model.ckpt", map_location="cpu")
    assert asked == [True, False]
    assert torch.equal(again.head.weight, model.head.weight)
