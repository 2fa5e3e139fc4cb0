"""SSondo meets the contract of backbones, and has the embeddings of the package ssondo."""

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

pytest.importorskip("ssondo", reason="it has the networks: pip install ssondo")

from lit_genre_encoders.ssondo import SSondo

TINY: dict[str, dict[str, Any]] = {
    "mobilenetv3": {"width_mult": 0.1},
    "dymn": {"width_mult": 0.1},
    "eres2net": {"m_channels": 4, "num_blocks": [1, 1, 1, 1, 1]},
}
HALF_SECOND = (16000,)
SEGMENT = 320000
"""Samples of 10 s."""
TOLERANCE = 1e-4
"""Largest difference of an embedding from that of the published code."""


def settings_of(network: str) -> dict[str, Any]:
    return {"network": network, **TINY[network]}


def config_of(network: str) -> dict[str, Any]:
    """Return the part of a published training configuration that inference needs."""
    student = {
        "mobilenetv3": {
            "model_name": "mn10_im", "reduced_tail": False, "dilated": False, "strides": (2, 2, 2, 2),
            "relu_only": False, "input_dim_f": 128, "input_dim_t": 998, "se_dims": "c", "se_agg": "max", "se_r": 4,
        },
        "dymn": {"model_name": "dymn10_im", "strides": (2, 2, 2, 2), "pretrain_final_temp": 10.0},
        "eres2net": {"model_name": "ERes2Net", "feat_dim": 128, "pooling_func": "TSTP", "add_layer": True},
    }[network]  # fmt: skip
    return {
        "student_model": {"sr": 32000, **student, **TINY[network]},
        "preprocess": {
            "slice_audio": {"win_len": 10, "step_size": 10},
            "logmelspec": {"win_len": 0.032, "hop_len": 0.016, "n_mels": 128, "f_min": 50, "f_max": 16000},
        },
        "classification_head": {
            "head_type": "mlp", "hidden_features_size": 8, "n_classes": 3, "pooling": "mean", "activation_att": None,
            "last_activation": "",
        },
    }  # fmt: skip


def write_checkpoint(network: str, path: Path) -> str:
    """Write a checkpoint of a tiny network of the package, with random weights and running statistics."""
    from ssondo import model as published

    config = config_of(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        student = published._build_student_model(config)
    # With the statistics of a batch, embeddings are about 1.
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        student(torch.randn(4, 1, 128, 64))
    tensors = {f"student_model.{name}": tensor for name, tensor in student.state_dict().items()}
    torch.save({"training_config": config, "state_dict": tensors}, path)
    return str(path)


def published_embedding(path: str, waveform: Tensor) -> Tensor:
    from ssondo import get_ssondo

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        embedding: Tensor = get_ssondo(path).get_embeddings(waveform)
    return embedding


@pytest.mark.parametrize(("network", "freeze"), [*((network, False) for network in TINY), ("mobilenetv3", True)])
def test_contract(network: str, freeze: bool) -> None:
    factory = partial(SSondo, weights=None, settings=settings_of(network), freeze=freeze)
    check_backbone(factory, input_shape=HALF_SECOND)


# The DyMN of the package fails on more than one segment.
@pytest.mark.parametrize(
    ("network", "seconds"), [("mobilenetv3", 10), ("mobilenetv3", 25), ("dymn", 12), ("eres2net", 21)]
)
def test_embeddings_equal_those_of_the_package(network: str, seconds: int, tmp_path: Path) -> None:
    path, waveform = write_checkpoint(network, tmp_path / "tiny.ckpt"), 0.2 * torch.randn(2, seconds * 32000)
    backbone = SSondo(HALF_SECOND, path)
    expected = published_embedding(path, waveform)
    assert expected.std() > 100 * TOLERANCE
    torch.testing.assert_close(backbone(waveform), expected, atol=TOLERANCE, rtol=0)


def test_segments_are_embedded_separately() -> None:
    backbone = SSondo(HALF_SECOND, None, settings=settings_of("dymn"))
    waveform = 0.2 * torch.randn(1, 2 * SEGMENT + 5000)
    segments = backbone.encode(waveform)
    assert segments.shape == (1, 2, backbone.embedding_dim)
    # What follows the last segment does not matter.
    alone = backbone(waveform[:, SEGMENT : 2 * SEGMENT + 100])
    torch.testing.assert_close(segments[:, 1], alone)
    torch.testing.assert_close(backbone(waveform), segments.mean(1))


def test_a_short_clip_is_padded_with_zeros() -> None:
    backbone = SSondo(HALF_SECOND, None, settings=settings_of("mobilenetv3"))
    clip = 0.2 * torch.randn(1, 3200)
    padded = torch.cat([clip, torch.zeros(1, SEGMENT - 3200)], -1)
    torch.testing.assert_close(backbone(clip), backbone(padded))


@pytest.mark.parametrize("network", ["mobilenetv3", "dymn"])
def test_the_mean_of_the_last_layer_is_the_embedding(network: str) -> None:
    backbone = SSondo(HALF_SECOND, None, settings=settings_of(network))
    waveform = 0.2 * torch.randn(2, 2 * SEGMENT)
    states = backbone.layer_outputs(waveform, range(17))
    # 624 frames of a segment, whose number five convolutions halve.
    assert [state.shape[1] // 2 for state in states[::4]] == [312, 78, 39, 39, 20]
    assert all(state.shape[0] == 2 and state.ndim == 3 for state in states)
    torch.testing.assert_close(states[16].mean(1), backbone(waveform))


@pytest.mark.parametrize("add_layer", [True, False])
def test_the_layers_of_eres2net_are_its_stages(add_layer: bool) -> None:
    settings = {**settings_of("eres2net"), "add_layer": add_layer}
    backbone = SSondo(HALF_SECOND, None, settings=settings)
    layers = range(len(backbone.layer_blocks()) + 1)
    shapes = [tuple(state.shape) for state in backbone.layer_outputs(torch.zeros(1, SEGMENT), layers)]
    stages = [(1, 624, 4), (1, 624, 8), (1, 312, 16), (1, 156, 32), (1, 78, 64), (1, 39, 16)]
    assert shapes == (stages if add_layer else stages[:-1])


def test_a_clip_is_embedded_by_layers_with_weights() -> None:
    factory = partial(SSondo, weights=None, settings=settings_of("mobilenetv3"))
    model = GenreClassifier(
        factory, ["Folk", "Rock"], sample_rate=32000, clip_seconds=1, frontend=nn.Identity, layers=[13, 14, 15]
    )
    model(torch.randn(2, 32000))[:, 0].sum().backward()
    gradient = dict(model.named_parameters())["layer_pooling.weights"].grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"layer_pooling.weights", "head.weight", "head.bias"}


@pytest.mark.parametrize("network", list(TINY))
def test_a_checkpoint_needs_no_file_and_has_its_settings(network: str, tmp_path: Path) -> None:
    path = write_checkpoint(network, tmp_path / "tiny.ckpt")
    factory = partial(SSondo, weights=path)
    model = GenreClassifier(factory, ["Folk", "Rock"], sample_rate=32000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    Path(path).unlink()
    restored = load_model(tmp_path / "model.ckpt")
    waveform = 0.2 * torch.randn(2, 32000)
    assert torch.equal(restored(waveform), model(waveform))
    settings = restored.backbone.restore_args()["settings"]
    assert settings["network"] == network
    assert {name: settings[name] for name in TINY[network]} == TINY[network]
    assert settings.get("pretrain_final_temp", 10.0) == 10.0


def test_the_meta_device_needs_no_weights() -> None:
    with torch.device("meta"), torch.no_grad():
        for name, dim in (("matpac-mobilenetv3", 960), ("m2d-dymn", 960), ("m2d-eres2net", 1024)):
            assert SSondo(HALF_SECOND, name)(torch.empty(2, 40000)).shape == (2, dim)


def test_errors_of_settings() -> None:
    with pytest.raises(LitGenreError, match="network is 'vgg', but must be one of mobilenetv3, dymn, eres2net"):
        SSondo(HALF_SECOND, None, settings={"network": "vgg"})
    with pytest.raises(LitGenreError, match=r"dymn has no settings \['m_channels'\]. Its settings are network, width_"):
        SSondo(HALF_SECOND, None, settings={"network": "dymn", "m_channels": 4})


def test_errors_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LitGenreError, match="There is no file of weights absent.ckpt. Set weights to a file, or to"):
        SSondo(HALF_SECOND, "absent.ckpt")
    other = tmp_path / "other.ckpt"
    contents: list[Any] = [{"state_dict": {}}, [1], {"training_config": None, "state_dict": {}}]
    for content in contents:
        torch.save(content, other)
        with pytest.raises(LitGenreError, match=r"are not a checkpoint of S-SONDO .*Set weights to"):
            SSondo(HALF_SECOND, str(other))
    other.write_bytes(b"damaged")
    with pytest.raises(LitGenreError, match="cannot be read"):
        SSondo(HALF_SECOND, str(other))
    path = write_checkpoint("mobilenetv3", tmp_path / "tiny.ckpt")
    with pytest.raises(LitGenreError, match=r"do not fit MN: .*Set weights to a file of this network, or settings"):
        SSondo(HALF_SECOND, path, settings={"width_mult": 0.5})
    content = torch.load(path, weights_only=True)
    content["training_config"]["preprocess"]["logmelspec"]["n_mels"] = 64
    torch.save(content, other)
    with pytest.raises(LitGenreError, match=r"were trained with {'n_mels': 64}, but must be trained with"):
        SSondo(HALF_SECOND, str(other))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        LitGenreError, match=r"m2d_dymn\.ckpt of mohammedali2501/.* cannot be downloaded: .*set weights"
    ):
        SSondo(HALF_SECOND, "m2d-dymn")


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssondo.model", None)
    with pytest.raises(LitGenreError, match=r"ssondo cannot be imported .*pip install ssondo"):
        SSondo(HALF_SECOND, None)
