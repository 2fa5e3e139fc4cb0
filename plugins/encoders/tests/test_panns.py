import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.panns import PANNsCNN14
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

pytest.importorskip("torchlibrosa", reason="PANNs need the package torchlibrosa")
models = pytest.importorskip("lit_genre_encoders.panns_package.models", reason="PANNs need the package panns-inference")

CHANNELS: Final = [2, 3, 4, 5, 6, 7]
TINY: Final[dict[str, Any]] = {"channels": CHANNELS}
SECOND: Final = 32000

TOLERANCE: Final = 1e-4
"""Largest difference from the embedding of the published code. float32 with the same operations differs by less."""


def tiny(weights: str | None = None, freeze: bool = True) -> PANNsCNN14:
    """Return a small network with random weights and random statistics of the batch norms."""
    torch.manual_seed(0)
    backbone = PANNsCNN14((SECOND,), weights=weights, freeze=freeze, settings=TINY)
    if weights is None:
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -1, 1)
                nn.init.uniform_(module.running_var, 0.5, 2)
        nn.init.uniform_(backbone.bn0.running_mean, -40, -20)
        nn.init.uniform_(backbone.bn0.running_var, 100, 200)
    return backbone.eval()


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """Return the published network with small blocks and the weights of `tiny`."""
    network = models.Cnn14(
        sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000, classes_num=3
    )
    for number, (inputs, outputs) in enumerate(zip([1, *CHANNELS], CHANNELS, strict=False), start=1):
        setattr(network, f"conv_block{number}", models.ConvBlock(inputs, outputs))
    network.fc1, network.fc_audioset = nn.Linear(7, 7), nn.Linear(7, 3)
    missing, unexpected = network.load_state_dict(tiny().state_dict(), strict=False)
    assert not unexpected
    assert {name.partition(".")[0] for name in missing} == {"spectrogram_extractor", "logmel_extractor", "fc_audioset"}
    return network.eval()


def waveforms(n_items: int, n_samples: int) -> Tensor:
    return 0.1 * torch.randn(n_items, n_samples, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(PANNsCNN14, weights=None, settings=TINY, freeze=freeze), input_shape=(16000,))


@pytest.mark.parametrize("n_samples", [9920, 20000, 3 * SECOND])
@torch.no_grad()
def test_the_embedding_is_that_of_the_published_code(published: nn.Module, n_samples: int) -> None:
    waveform = waveforms(2, n_samples)
    expected = published(waveform)["embedding"]
    assert expected.count_nonzero() > 0
    torch.testing.assert_close(tiny()(waveform), expected, atol=TOLERANCE, rtol=0)


def test_a_short_clip_is_padded_with_zeros() -> None:
    backbone, waveform = tiny(), waveforms(1, 3200)
    torch.testing.assert_close(backbone(waveform), backbone(nn.functional.pad(waveform, (0, 9920 - 3200))))


def test_layers(published: nn.Module) -> None:
    backbone, waveform = tiny(), waveforms(2, 2 * SECOND)
    states = backbone.layer_outputs(waveform, range(7))
    assert [tuple(layer.shape) for layer in states] == [
        (2, 201, 64), (2, 100, 2), (2, 50, 3), (2, 25, 4), (2, 12, 5), (2, 6, 6), (2, 6, 7)
    ]  # fmt: skip
    torch.testing.assert_close(states[6], backbone.encode(waveform))
    # The states of the published network: its first block, on its normalised spectrogram.
    spectrogram = published.logmel_extractor(published.spectrogram_extractor(waveform))
    normalised = published.bn0(spectrogram.transpose(1, 3)).transpose(1, 3)
    torch.testing.assert_close(states[0], normalised[:, 0], atol=TOLERANCE, rtol=0)
    maps = published.conv_block1(normalised)
    torch.testing.assert_close(states[1], maps.mean(3).transpose(1, 2), atol=TOLERANCE, rtol=0)


def test_layers_of_several_sizes_cannot_be_averaged() -> None:
    with pytest.raises(LitGenreError, match="Layers of PANNsCNN14 with states of several sizes cannot be averaged"):
        classifier(partial(PANNsCNN14, weights=None, settings=TINY), layers="all")


def test_the_published_size_is_built_on_the_meta_device() -> None:
    with torch.device("meta"):
        backbone = PANNsCNN14((SECOND,))
    assert backbone.embedding_dim == 2048
    assert len(backbone.layer_blocks()) == 6
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 79_673_792


def test_another_process_unpickles_it_without_the_rest_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "network.pkl").write_bytes(pickle.dumps(tiny()))
    code = (
        "import pickle, sys; network = pickle.load(open('network.pkl', 'rb')); "
        "print(type(network).__name__, 'panns_inference' in sys.modules)"
    )
    # An empty home: the package would download its list of labels into it.
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert run.stdout.split() == ["PANNsCNN14", "False"], run.stderr
    assert not (tmp_path / "panns_data").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, r"PANNsCNN14 has no settings \['width'\]. Its only setting is channels"),
        ({"channels": [1, 2]}, r"The setting channels is \[1, 2\], but must be a list of 6 integers"),
        ({"channels": [1, 2, 3, 4, 5, 0]}, "The setting channels is .*, but must be a list of 6 integers"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        PANNsCNN14((SECOND,), weights=None, settings=settings)


@pytest.mark.parametrize("package", ["panns_inference", "torchlibrosa"])
def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in [name for name in sys.modules if name.startswith(("lit_genre_encoders.panns_package", "torchlibrosa"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LitGenreError, match=f"panns-inference cannot be imported .*{package}.*pip install panns-inf"):
        tiny()


def test_weights_are_read_from_the_published_file(published: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": published.state_dict()}, tmp_path / "Cnn14.pth")
    waveform = waveforms(1, SECOND)
    torch.testing.assert_close(tiny(str(tmp_path / "Cnn14.pth"))(waveform), tiny()(waveform))


def test_unsuitable_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(LitGenreError, match="no file of weights .*weights.pth.* or to Cnn14_mAP=0.431"):
        tiny(str(path))
    other = PANNsCNN14((SECOND,), weights=None, settings={"channels": [1, 1, 1, 1, 1, 1]}).state_dict()
    for content in ([1, 2], tiny().state_dict(), {"model": 3}, {"model": {"a": 3}}, {"model": other}):
        torch.save(content, path)
        with pytest.raises(
            LitGenreError, match="weights .*weights.pth do not fit PANNsCNN14: .* Set weights to a file"
        ):
            tiny(str(path))


def classifier(factory: partial[PANNsCNN14], **options: Any) -> GenreClassifier:
    """Return a model for clips of 1 s."""
    return GenreClassifier(
        factory, ["a", "b"], sample_rate=32000, clip_seconds=1, frontend=nn.Identity, **options
    ).eval()


def test_a_checkpoint_needs_neither_file_nor_network(published: nn.Module, tmp_path: Path) -> None:
    weights, waveform = tmp_path / "Cnn14.pth", waveforms(2, SECOND)
    torch.save({"model": published.state_dict()}, weights)
    model = classifier(partial(PANNsCNN14, weights=str(weights), settings=TINY))
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    weights.unlink()
    restored = load_model(tmp_path / "model.ckpt").eval()
    torch.testing.assert_close(restored(waveform), model(waveform))
