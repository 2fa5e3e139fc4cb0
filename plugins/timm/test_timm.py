"""TimmBackbone builds the networks of timm, with and without a network connection."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lit_genre_timm import TimmBackbone

from lit_genre import GenreClassifier, LitGenreError
from lit_genre.testing import check_backbone, check_config


def test_contract() -> None:
    check_backbone(TimmBackbone)


# A last layer of another size than the features, a fixed size of images, and stochastic depth.
@pytest.mark.parametrize("model_name", ["mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_contract_of_other_kinds(model_name: str) -> None:
    check_backbone(partial(TimmBackbone, model_name=model_name, dropout=0.1, drop_path=0.1))


def test_config() -> None:
    check_config(Path(__file__).with_name("timm.yaml"))


def test_an_unknown_network_gives_an_error_with_similar_names() -> None:
    with pytest.raises(ValueError, match="no network 'resnet81'. Did you mean .*resnet18"):
        TimmBackbone((128, 130), model_name="resnet81")


def test_missing_weights_give_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="weights of resnet18.* cannot be loaded: .*pretrained: false"):
        TimmBackbone((128, 130), pretrained=True)
    # The command line prints the text of this error only.
    with pytest.raises(LitGenreError, match="TimmBackbone cannot be built .*cannot be loaded"):
        GenreClassifier(partial(TimmBackbone, pretrained=True), ["Folk", "Rock"])


def test_a_checkpoint_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    pretrained_arguments: list[bool] = []

    def create(name: str, pretrained: bool, **options: object) -> torch.nn.Module:
        pretrained_arguments.append(pretrained)
        return create_model(name, pretrained=False, **options)

    create_model = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    model = GenreClassifier(partial(TimmBackbone, pretrained=True), ["Folk", "Rock"], clip_seconds=1)
    from lightning.pytorch import Trainer

    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    restored = GenreClassifier.load_from_checkpoint(tmp_path / "model.ckpt", map_location="cpu")
    assert pretrained_arguments == [True, False]
    assert torch.equal(restored.head.weight, model.head.weight)
