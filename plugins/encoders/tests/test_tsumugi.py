"""Tsumugi-MRL has the embeddings of the published code, of any length."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.tsumugi import Tsumugi
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

published = pytest.importorskip("tsumugi_mrl", reason="Tsumugi needs its package: pip install tsumugi-mrl")

TINY: Final[dict[str, Any]] = {"n_mels": 16, "d_model": 16, "n_heads": 2, "num_layers": 2, "dim_feedforward": 32}
SECOND: Final = 22050
NAME: Final = "anime-song/tsumugi-mrl"

TOLERANCE: Final = 1e-4
"""Largest difference from the embedding of the published code. float32 with the same operations differs by less."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with random weights and their config.json, as the published package writes it."""
    torch.manual_seed(0)
    model = published.TsumugiMRLModel(published.ModelConfig(**TINY))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.set_mel_stats(-20.0, 17.0)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def tiny(folder: Path, **settings: Any) -> Tsumugi:
    return Tsumugi((SECOND,), str(folder / "model.safetensors"), settings=settings).eval()


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(Tsumugi, weights=None, settings=TINY, freeze=freeze), input_shape=(16000,))


# The shortest input, one that is no multiple of a step, and one that is longer than the clips of pretraining.
@pytest.mark.parametrize("n_samples", [2489, 30011, 31 * SECOND])
def test_the_embedding_is_that_of_the_published_code(folder: Path, n_samples: int) -> None:
    model, waveform = published.TsumugiMRLModel.from_pretrained(folder).eval(), noise(2, n_samples)
    # The sizes are in config.json.
    backbone = tiny(folder)
    with torch.no_grad():
        expected = model(waveform.unsqueeze(1).repeat(1, 2, 1))
    assert expected.std() > 0.1
    assert backbone.encode(waveform).shape == expected.shape
    torch.testing.assert_close(backbone(waveform), model.mean_pool(expected), atol=TOLERANCE, rtol=0)


def test_layers(folder: Path) -> None:
    backbone, waveform = tiny(folder), noise(2, SECOND)
    first, second, last = backbone.layer_outputs(waveform, [0, 1, 2])
    assert first.shape == second.shape == last.shape == (2, 23, 16)
    torch.testing.assert_close(last.mean(1), backbone(waveform))
    encoder: Any = backbone.net.encoder
    for (attention, feed_forward), states, expected in zip(
        encoder.layers, (first, second), (encoder.norm(second), last), strict=True
    ):
        states = states + attention(states)
        torch.testing.assert_close(encoder.norm(states + feed_forward(states)), expected)


def test_a_short_clip_is_padded_with_zeros(folder: Path) -> None:
    backbone, waveform = tiny(folder), noise(1, 300)
    torch.testing.assert_close(backbone(waveform), backbone(nn.functional.pad(waveform, (0, 2489 - 300))))


def test_settings_replace_those_of_the_file(folder: Path) -> None:
    assert tiny(folder, dropout=0.3).settings["dropout"] == 0.3
    dropouts = [module.p for module in tiny(folder, dropout=0.3).modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert {*dropouts} == {0.3}


def test_the_published_size() -> None:
    with torch.device("meta"):
        backbone = Tsumugi((SECOND,))
    assert (backbone.embedding_dim, len(backbone.layer_blocks())) == (512, 8)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 25_510_976


def test_weights_come_from_the_hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(LitGenreError, match=f"model.safetensors of {NAME} cannot be downloaded: .*set weights to a"):
        Tsumugi((SECOND,))
    # The layout of the cache after a download.
    root = tmp_path / "cache" / f"models--{NAME.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("a" * 40)
    shutil.copytree(folder, root / "snapshots" / ("a" * 40))
    waveform = noise(1, SECOND)
    torch.testing.assert_close(Tsumugi((SECOND,)).eval()(waveform), tiny(folder)(waveform))


def test_unsuitable_weights_are_an_error(folder: Path) -> None:
    path = folder / "weights.pt"
    with pytest.raises(LitGenreError, match=rf"no file of weights .*weights.pt. Set weights to a file, or to {NAME}"):
        Tsumugi((SECOND,), str(path))
    path.write_bytes(b"not a file of torch")
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt cannot be read: .* Download the file again"):
        Tsumugi((SECOND,), str(path))
    torch.save([1, 2], path)
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt are of another network: .* Use other weights"):
        Tsumugi((SECOND,), str(path))
    torch.save(nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt do not fit Tsumugi: Error.*Set weights to a file"):
        Tsumugi((SECOND,), str(path))
    with pytest.raises(LitGenreError, match=r"weights .*model.safetensors do not fit Tsumugi: .* settings to the"):
        tiny(folder, num_layers=3)


def test_a_missing_or_damaged_configuration_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")
    with pytest.raises(LitGenreError, match=r"cannot be read from .*config.json \(TypeError.*Download this file"):
        tiny(folder)
    (folder / "config.json").unlink()
    with pytest.raises(LitGenreError, match=r"cannot be read from .*config.json \(FileNotFound.*Download this file"):
        tiny(folder)
    (folder / "config.json").write_text(json.dumps({**TINY, "width": 8}))
    with pytest.raises(LitGenreError, match=r"Tsumugi has no settings width. Its settings are sample_rate, .*d_model"):
        tiny(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_heads": 3}, "The settings .*'n_heads': 3.* do not fit Tsumugi: RoPE requires"),
        ({"n_heads": 0}, "The settings .*'n_heads': 0.* do not fit Tsumugi: .*zero"),
        ({"num_layers": "two"}, "The settings .*num_layers='two'.* do not fit Tsumugi"),
        ({"sample_rate": 16000}, "The settings .*16000.* do not fit Tsumugi: .*stereo audio at 22050 Hz"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        Tsumugi((SECOND,), None, settings={**TINY, **settings})


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tsumugi_mrl.model", None)
    with pytest.raises(LitGenreError, match="tsumugi_mrl cannot be imported .*: pip install tsumugi-mrl"):
        Tsumugi((SECOND,), None)


def test_a_checkpoint_needs_neither_file_nor_network(folder: Path, tmp_path: Path) -> None:
    factory, waveform = partial(Tsumugi, weights=str(folder / "model.safetensors")), noise(2, SECOND)
    model = GenreClassifier(factory, ["a", "b"], sample_rate=22050, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    shutil.rmtree(folder)
    restored: Any = load_model(tmp_path / "model.ckpt").eval()
    assert restored.backbone.mel_mean.item() == -20
    torch.testing.assert_close(restored(waveform), model(waveform))
