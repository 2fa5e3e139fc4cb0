"""OpenL3 meets the contract of backbones, and has the embeddings of the package torchopenl3."""

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

pytest.importorskip("torchopenl3", reason="it has the network: see the message of OpenL3 for how to install it")

from lit_genre_encoders.openl3 import OpenL3

SMALL: dict[str, Any] = {"input_repr": "mel128", "embedding_size": 512}
SHAPE = (8000,)
TOLERANCE = 1e-4
"""Largest difference of an embedding from that of the published code."""


@pytest.fixture(autouse=True)
def fewer_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the channels of the network by 16, except those of the embedding: the package has one size only."""
    from torchopenl3.models import PytorchOpenl3

    def build_conv(_: nn.Module, dim: int, name: str, in_channels: int, out_channels: int, **options: Any) -> nn.Module:
        outputs = out_channels if name == "audio_embedding_layer" else out_channels // 16
        return nn.Conv2d(max(1, in_channels // 16), outputs, **options)

    def build_norm(_: nn.Module, dim: int, name: str, num_features: int, **options: Any) -> nn.Module:
        return nn.BatchNorm2d(max(1, num_features // 16), **options)

    monkeypatch.setattr(PytorchOpenl3, "_PytorchOpenl3__conv", build_conv)
    monkeypatch.setattr(PytorchOpenl3, "_PytorchOpenl3__batch_normalization", build_norm)


def published_network() -> Any:
    """Return the network of the package, with the statistics of a batch, so that embeddings are about 1."""
    from torchopenl3.models import PytorchOpenl3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = PytorchOpenl3("music", "mel128", 512)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    # As if its file came from a version of librosa with other mel bands.
    network.speclayer.mel_basis *= 1 + 0.3 * torch.rand(128, 1)
    with torch.no_grad():
        network(0.2 * torch.randn(2, 1, 48000))
    return network.eval()


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.save(published_network().state_dict(), tmp_path / "openl3.pth.tar")
    return str(tmp_path / "openl3.pth.tar")


def signal(n_samples: int) -> Tensor:
    """Return noise of rising level, shape (2, n)."""
    return torch.linspace(0.01, 0.3, n_samples) * torch.randn(2, n_samples)


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(OpenL3, weights=None, settings=SMALL, freeze=freeze), input_shape=SHAPE)


@pytest.mark.parametrize(("n_samples", "hop_size"), [(30000, 0.1), (100001, 0.5)])
def test_embeddings_equal_those_of_the_package(n_samples: int, hop_size: float, tmp_path: Path) -> None:
    import torchopenl3

    network, waveform = published_network(), signal(n_samples)
    expected, _ = torchopenl3.get_audio_embedding(waveform, 48000, model=network, hop_size=hop_size)
    torch.save(network.state_dict(), tmp_path / "openl3.pth.tar")
    settings = {**SMALL, "hop_size": hop_size}
    embeddings = OpenL3(SHAPE, str(tmp_path / "openl3.pth.tar"), settings=settings).encode(waveform)
    assert expected.std() > 100 * TOLERANCE
    torch.testing.assert_close(embeddings, expected, atol=TOLERANCE, rtol=0)


def test_the_last_layer_is_pooled_to_the_embedding(weights: str) -> None:
    backbone, waveform = OpenL3(SHAPE, weights, settings=SMALL), signal(48000)
    states = backbone.layer_outputs(waveform, range(9))
    # Two windows of 199 frames, whose number is halved by three poolings.
    assert [tuple(state.shape) for state in states[::2]] == [
        (2, 402, 1), (2, 398, 4), (2, 198, 8), (2, 98, 16), (2, 48, 512)
    ]  # fmt: skip
    torch.testing.assert_close(backbone.layer_outputs(waveform, [8])[0], states[8])
    # The mean over bands is at most the maximum over bands, by which the network pools.
    maxima = backbone(waveform)
    assert (states[8].mean(1) <= maxima + TOLERANCE).all()
    assert (states[8].mean(1) < maxima).any()


def test_windows_of_a_long_clip_are_computed_in_parts(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, waveform = OpenL3(SHAPE, weights, settings=SMALL), signal(80000)
    expected, states = backbone.encode(waveform), backbone.layer_outputs(waveform, [3])[0]
    assert expected.shape == (2, 4, 512)
    monkeypatch.setattr("lit_genre_encoders.openl3._BATCH", 3)
    torch.testing.assert_close(backbone.encode(waveform), expected)
    torch.testing.assert_close(backbone.layer_outputs(waveform, [3])[0], states)


def test_the_spectrogram_is_computed_in_float32(weights: str) -> None:
    backbone, waveform = OpenL3(SHAPE, weights, settings=SMALL), signal(8000)
    windows = backbone._windows(waveform)
    expected = backbone._mel(windows)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(backbone._mel(windows), expected)
    half = backbone.to(torch.bfloat16)._mel(windows.to(torch.bfloat16)).float()
    # Decibels from -80 to 0, rounded to 8 bits, of samples and mel bands rounded to 8 bits.
    assert (half - expected).abs().median() < 0.2


def test_a_checkpoint_needs_no_file(weights: str, tmp_path: Path) -> None:
    factory = partial(OpenL3, weights=weights, settings=SMALL)
    model = GenreClassifier(factory, ["Folk", "Rock"], sample_rate=48000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    Path(weights).unlink()
    restored = load_model(tmp_path / "model.ckpt")
    waveform = signal(48000)
    assert torch.equal(restored(waveform), model(waveform))
    assert restored.backbone.restore_args() == {"weights": None, "settings": {**SMALL, "hop_size": 0.5}}


def test_the_name_of_the_weights_has_the_settings() -> None:
    with torch.device("meta"), torch.no_grad():
        for name, size in (("mel256_music_6144", 6144), ("mel128_env_512", 512)):
            backbone = OpenL3(SHAPE, name)
            assert backbone(torch.empty(2, 40000)).shape == (2, size)
            assert backbone.mel_basis.shape[0] == int(name[3:6])


def test_errors_name_the_remedy(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LitGenreError, match=r"no settings \['depth'\]. Its settings are input_repr, embedding_size"):
        OpenL3(SHAPE, None, settings={"depth": 4})
    with pytest.raises(LitGenreError, match="input_repr is 'linear', but must be mel128 or mel256"):
        OpenL3(SHAPE, None, settings={"input_repr": "linear"})
    with pytest.raises(LitGenreError, match="hop_size is 0, but must be more than 0 and at most 1 s"):
        OpenL3(SHAPE, None, settings={"hop_size": 0})
    with pytest.raises(LitGenreError, match=r"There is no file of weights absent. Set weights to .*mel256_music_512"):
        OpenL3(SHAPE, "absent")
    with pytest.raises(LitGenreError, match="do not fit OpenL3: .*mel_basis.*or settings to the sizes"):
        OpenL3(SHAPE, weights, settings={"input_repr": "mel256"})
    contents: list[Any] = [[1], {"state_dict": {}}]
    for content in contents:
        torch.save(content, tmp_path / "other.pth.tar")
        with pytest.raises(LitGenreError, match="do not fit OpenL3: .*Set weights to a file of this network"):
            OpenL3(SHAPE, str(tmp_path / "other.pth.tar"), settings=SMALL)
    monkeypatch.setitem(sys.modules, "torchopenl3.models", None)
    with pytest.raises(LitGenreError, match="torchopenl3 cannot be imported.*pip install --no-deps torchopenl3"):
        OpenL3(SHAPE, None)
