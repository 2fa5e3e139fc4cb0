"""MuQ meets the contract of backbones, and has the embeddings of the published package."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.muq import MuQ
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

muq = pytest.importorskip("muq", reason="the network is built from its parts: pip install muq")
import transformers  # noqa: E402, a dependency of muq
from transformers.modeling_outputs import BaseModelOutput  # noqa: E402

SECOND = (24000,)
TINY = {"conv_dim": 8, "encoder_dim": 16, "encoder_depth": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFORMER: dict[str, Any] = {
    "hidden_act": "swish", "position_embeddings_type": "rotary", "rotary_embedding_base": 10000, "layerdrop": 0.0,
    "num_attention_heads": 2, "intermediate_size": 32, "activation_dropout": 0.1, "attention_dropout": 0.1,
    "hidden_dropout": 0.1, "conformer_conv_dropout": 0.1, "conv_depthwise_kernel_size": 31, "layer_norm_eps": 1e-5,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "feat_extract_activation": "gelu",
    # transformers 5 reads it from this dictionary, which the package passes on as a configuration.
    "_attn_implementation": "eager",
}  # fmt: skip
TOLERANCE = 1e-4
"""Largest difference between two orders of operations in float32; the embeddings are about 1."""


def randomize(model: nn.Module) -> None:
    """Give norms random statistics and weights, so that a tensor that is not loaded changes the embeddings."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("running_mean", "norm.weight", "norm.bias")):
            tensor.normal_()


def return_hidden_states(conformer: Any) -> None:
    """Let a Conformer of transformers 5 return the states that the published code reads, as that of 4 does."""
    if int(transformers.__version__.partition(".")[0]) < 5:
        return
    inputs: list[Tensor] = []

    def add_states(_: nn.Module, args: Any, output: Any) -> BaseModelOutput:
        states = (*inputs, output.last_hidden_state)
        inputs.clear()
        return BaseModelOutput(last_hidden_state=output.last_hidden_state, hidden_states=states)

    for layer in conformer.layers:
        layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    conformer.register_forward_hook(add_states)


def write_to_cache(cache: Path, repository: str, folder: Path) -> None:
    """Put the files of a folder into a cache of the hub, as a download does."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / ("a" * 40)
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(snapshot.name)
    snapshot.parent.mkdir()
    folder.rename(snapshot)


def signal(n_samples: int) -> Tensor:
    """Return two tones with noise, shape (2, n)."""
    time = torch.arange(n_samples) / 24000
    tones = (2 * torch.pi * torch.tensor([[440.0], [3000.0]]) * time).sin()
    return 0.3 * tones + 0.03 * torch.randn(2, n_samples, generator=torch.Generator().manual_seed(0))


def save(backbone: partial[Any], path: Path) -> GenreClassifier:
    """Write a checkpoint of a model for clips of 1 s."""
    model = GenreClassifier(backbone, ["Folk", "Rock"], sample_rate=24000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=path.parent, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return model


@pytest.fixture(scope="module")
def published() -> Any:
    """Return the published network, tiny and with random weights."""
    sizes = {key: TINY[key] for key in ("conv_dim", "encoder_dim", "encoder_depth")}
    statistics = {"melspec_2048_mean": 6.77, "melspec_2048_std": 18.42}
    model = muq.MuQ(muq.MuQConfig(**sizes, codebook_size=32, stat=statistics, w2v2_config=CONFORMER)).eval()
    randomize(model)
    return_hidden_states(model.model.conformer)
    return model


@pytest.fixture
def folder(published: Any, tmp_path: Path) -> Path:
    """Return a folder with the files of the published network, as they are on the hub."""
    published.save_pretrained(tmp_path / "published")
    return tmp_path / "published"


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(MuQ, weights=None, settings=TINY, freeze=freeze), input_shape=(16000,))


@pytest.mark.parametrize("n_samples", [2048, 24000, 60001])
def test_embeddings_and_layers_equal_those_of_the_package(published: Any, folder: Path, n_samples: int) -> None:
    backbone = MuQ(SECOND, str(folder / "model.safetensors"), settings=TINY)
    waveform = signal(n_samples)
    with torch.inference_mode():
        expected = published(waveform)
        layers = backbone.layer_outputs(waveform, [0, 1, 2])
        embedding = backbone(waveform)
    assert layers[2].shape == (2, -(n_samples // 240 // -4), 16)
    for states, published_states in zip(layers, expected.hidden_states, strict=True):
        torch.testing.assert_close(states, published_states, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(embedding, expected.last_hidden_state.mean(1), atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(layers[-1].mean(1), embedding)
    assert embedding.std() > 0.1


def test_a_short_input_is_padded_with_zeros() -> None:
    backbone = MuQ(SECOND, None, settings=TINY)
    waveform = signal(2048)
    waveform[:, 100:] = 0
    torch.testing.assert_close(backbone(waveform[:, :100]), backbone(waveform))


def test_an_input_of_two_minutes_is_not_cut() -> None:
    (states,) = MuQ(SECOND, None, settings=TINY).layer_outputs(signal(120 * 24000)[:1], [2])
    assert states.shape == (1, 120 * 25, 16)


def test_the_spectrogram_is_float32_under_autocast() -> None:
    backbone = MuQ(SECOND, None, settings=TINY)
    expected = backbone._decibels(signal(24000))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(backbone._decibels(signal(24000)), expected, rtol=0, atol=0)


def test_training_follows_inference() -> None:
    # transformers keeps the position embedding of the inference, whose tensors have no gradient.
    backbone: Any = MuQ(SECOND, None, freeze=False, settings=TINY)
    with torch.inference_mode():
        backbone(signal(24000))
    backbone(signal(24000)).sum().backward()
    assert backbone.conv.linear.weight.grad.abs().sum() > 0


def test_a_frozen_network_stays_in_evaluation_mode() -> None:
    backbone = MuQ(SECOND, None, settings=TINY).train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_published_weights_come_from_the_cache_of_the_hub(
    published: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    name = "OpenMuQ/MuQ-large-msd-iter"
    with pytest.raises(
        LitGenreError, match=f"model.safetensors of {name} cannot be downloaded: .*set weights to a file"
    ):
        MuQ(SECOND, settings=TINY)
    write_to_cache(tmp_path / "cache", name, folder)
    backbone: Any = MuQ(SECOND, settings=TINY)
    assert torch.equal(backbone.conv.linear.weight, published.model.conv.linear.weight)
    assert backbone.mel_mean.item() == pytest.approx(6.77)


def test_a_checkpoint_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    backbone = partial(MuQ, weights=str(folder / "model.safetensors"), settings=TINY)
    model = save(backbone, tmp_path / "model.ckpt")
    shutil.rmtree(folder)
    restored: Any = load_model(tmp_path / "model.ckpt").eval()
    assert restored.backbone.mel_std.item() == pytest.approx(18.42)
    torch.testing.assert_close(restored(signal(24000)), model(signal(24000)))


def test_the_meta_device_needs_no_weights() -> None:
    with torch.device("meta"):
        backbone = MuQ(SECOND)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 316_343_296
    assert (backbone.embedding_dim, len(backbone.layer_blocks())) == (1024, 12)


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "muq"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "muq", None)
    with pytest.raises(LitGenreError, match="muq cannot be imported .*Install it: pip install muq"):
        MuQ(SECOND, None, settings=TINY)


def test_wrong_weights_are_an_error(folder: Path) -> None:
    weights = str(folder / "model.safetensors")
    with pytest.raises(LitGenreError, match="no file of weights absent.pt. Set weights to a file, or to OpenMuQ"):
        MuQ(SECOND, "absent.pt", settings=TINY)
    with pytest.raises(
        LitGenreError, match="a network with {'conv_dim': 8}, but this one has {'conv_dim': 4}. Set the"
    ):
        MuQ(SECOND, weights, settings={**TINY, "conv_dim": 4})
    other = folder / "other.pt"
    for content in ({"layer.weight": torch.zeros(2)}, torch.zeros(2), {"conv.linear.weight": torch.zeros(2)}):
        torch.save(content, other)
        with pytest.raises(LitGenreError, match=r"other.pt do not fit MuQ: .*Set weights to a file of this network"):
            MuQ(SECOND, str(other), settings=TINY)
    other.write_text("no weights")
    with pytest.raises(LitGenreError, match="other.pt cannot be read"):
        MuQ(SECOND, str(other), settings=TINY)


def test_wrong_statistics_are_an_error(folder: Path) -> None:
    weights, path = str(folder / "model.safetensors"), folder / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "label_rate": 50}))
    with pytest.raises(LitGenreError, match="a network with {'label_rate': 50}, but this one has {'label_rate': 25}"):
        MuQ(SECOND, weights, settings=TINY)
    for text in (json.dumps({**content, "stat": {}}), "no JSON"):
        path.write_text(text)
        with pytest.raises(LitGenreError, match=r"cannot be read from .*config.json \(.*Download this file"):
            MuQ(SECOND, weights, settings=TINY)
    path.unlink()
    with pytest.raises(LitGenreError, match=r"cannot be read from .*config.json \(FileNotFoundError"):
        MuQ(SECOND, weights, settings=TINY)


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(LitGenreError, match="settings has depth, but can have conv_dim, encoder_dim, .* only"):
        MuQ(SECOND, None, settings={"depth": 2})
