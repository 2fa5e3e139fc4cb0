import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.passt import _ADDRESSES, PaSST
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

published = pytest.importorskip("hear21passt.models.passt", reason="PaSST needs the package hear21passt")

TINY: Final[dict[str, Any]] = {"embed_dim": 8, "depth": 2, "num_heads": 2, "seconds": 1}
SECOND: Final = 32000

TOLERANCE: Final = 1e-4
"""Largest difference from the embedding of the published code. float32 with the same operations differs by less."""


def tiny(weights: str | None = None, freeze: bool = True, **settings: int) -> PaSST:
    """Return a small network, whose weights are larger than those at the start of training, so that all matter."""
    torch.manual_seed(0)
    backbone = PaSST((SECOND,), weights=weights, freeze=freeze, settings={**TINY, **settings})
    if weights is None:
        for parameter in backbone.parameters():
            nn.init.normal_(parameter, std=0.3)
    return backbone.eval()


def published_network(backbone: PaSST) -> nn.Module:
    """Return the published network with its front-end, and with the weights of a small network."""
    from hear21passt.models.preprocess import AugmentMelSTFT
    from hear21passt.wrapper import PasstBasicWrapper

    # The settings of hear21passt.base.get_basic_model.
    mel = AugmentMelSTFT(
        n_mels=128, sr=32000, win_length=800, hopsize=320, n_fft=1024, freqm=48, timem=192, htk=False, fmin=0.0,
        fmax=None, norm=1, fmin_aug_range=10, fmax_aug_range=2000,
    )  # fmt: skip
    net = published.PaSST(
        img_size=(128, 100), stride=10, num_classes=5, distilled=True, embed_dim=8, depth=2, num_heads=2
    )
    missing, unexpected = net.load_state_dict(backbone.net.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("head") for name in missing)
    return PasstBasicWrapper(mel=mel, net=net, mode="embed_only").eval()


@torch.no_grad()
def published_embedding(network: nn.Module, waveform: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embedding: Tensor = network(waveform)
    return embedding


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(PaSST, weights=None, settings=TINY, freeze=freeze), input_shape=(16000,))


@pytest.mark.parametrize("n_samples", [4802, 20000, SECOND])
def test_the_embedding_is_that_of_the_published_code(n_samples: int) -> None:
    backbone, waveform = tiny(), 0.1 * torch.randn(2, n_samples)
    expected = published_embedding(published_network(backbone), waveform)
    torch.testing.assert_close(backbone(waveform), expected, atol=TOLERANCE, rtol=0)


def test_a_long_clip_is_cut_into_windows() -> None:
    backbone, waveform = tiny(), 0.1 * torch.randn(2, 5 * SECOND // 2)
    network, starts = published_network(backbone), (0, 3 * SECOND // 4, 3 * SECOND // 2)
    windows = [published_embedding(network, waveform[:, start : start + SECOND]) for start in starts]
    torch.testing.assert_close(backbone(waveform), torch.stack(windows).mean(0), atol=TOLERANCE, rtol=0)
    assert backbone.encode(waveform).shape == (2, 6, 8)


def test_a_short_clip_is_padded_with_zeros() -> None:
    backbone, waveform = tiny(), 0.1 * torch.randn(1, 3200)
    padded = nn.functional.pad(waveform, (0, 4802 - 3200))
    torch.testing.assert_close(backbone(waveform), backbone(padded))


def test_layers() -> None:
    backbone, waveform = tiny(), 0.1 * torch.randn(3, SECOND)
    first, second, last = backbone.layer_outputs(waveform, [0, 1, 2])
    # 12 rows and 9 columns of patches.
    assert first.shape == second.shape == (3, 108, 8)
    torch.testing.assert_close(last.mean(1), backbone(waveform))
    # The states of layer 1 are those of the first block, on the two tokens and on the states of layer 0.
    net = backbone.net
    tokens = torch.cat([net.cls_token, net.dist_token], 1) + net.new_pos_embed
    states = net.blocks[0](torch.cat([tokens.expand(3, -1, -1), first], 1))
    torch.testing.assert_close(states[:, 2:], second)


def test_the_published_size_is_built_on_the_meta_device() -> None:
    with torch.device("meta"):
        backbone = PaSST((10 * SECOND,))
    assert backbone.embedding_dim == 768
    assert len(backbone.layer_blocks()) == 12
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 85_341_696


def test_patchout_is_for_training() -> None:
    backbone, waveform = tiny(freeze=False, s_patchout_t=4, s_patchout_f=6), 0.1 * torch.randn(1, SECOND)
    torch.testing.assert_close(backbone(waveform), tiny()(waveform))
    (states,) = backbone.train().layer_outputs(waveform, [1])
    assert states.shape == (1, (9 - 4) * (12 - 6), 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, r"PaSST has no settings \['width'\]. Its settings are embed_dim"),
        ({"depth": 0}, "The setting depth is 0, but must be an integer of at least 1"),
        ({"stride": "10"}, "The setting stride is '10', but must be an integer"),
        ({"num_heads": 3}, "The setting embed_dim is 8, but must be a multiple of num_heads, 3"),
        ({"s_patchout_t": 9}, "The setting s_patchout_t is 9, but must be less than the 9 patches"),
        ({"s_patchout_f": 12}, "The setting s_patchout_f is 12, but must be less than the 12 patches"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        PaSST((SECOND,), weights=None, settings={**TINY, **settings})


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hear21passt.models.passt", None)
    with pytest.raises(LitGenreError, match="hear21passt cannot be imported .*: pip install hear21passt"):
        tiny()


def test_the_addresses_are_those_of_the_published_package() -> None:
    assert set(_ADDRESSES.values()) <= {config["url"] for config in published.default_cfgs.values()}


def test_weights_are_read_from_a_file(tmp_path: Path) -> None:
    network, waveform = published_network(tiny()).net, 0.1 * torch.randn(1, SECOND)
    torch.save(network.state_dict(), tmp_path / "passt.pt")
    torch.testing.assert_close(tiny(str(tmp_path / "passt.pt"))(waveform), tiny()(waveform))


def test_weights_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    source = tmp_path / "published.pt"
    monkeypatch.setitem(_ADDRESSES, "passt_20sec", source.as_uri())
    with pytest.raises(LitGenreError, match="weights passt_20sec cannot be downloaded from file:.*published.pt .*set"):
        tiny("passt_20sec")
    torch.save(tiny().net.state_dict(), source)
    tiny("passt_20sec")
    source.unlink()
    waveform = 0.1 * torch.randn(1, SECOND)
    torch.testing.assert_close(tiny("passt_20sec")(waveform), tiny()(waveform))


def test_unsuitable_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(LitGenreError, match="no file of weights .*weights.pt.* or to passt_s_swa_p16_128_ap476"):
        tiny(str(path))
    path.write_bytes(b"not a file of torch")
    with pytest.raises(LitGenreError, match="weights .*weights.pt cannot be read"):
        tiny(str(path))
    for content in ([1, 2], {"model": 3}, nn.Linear(2, 3).state_dict(), tiny(embed_dim=4).net.state_dict()):
        torch.save(content, path)
        with pytest.raises(LitGenreError, match="weights .*weights.pt do not fit PaSST: .* Set weights to a file"):
            tiny(str(path))


def test_a_checkpoint_needs_neither_file_nor_network(tmp_path: Path) -> None:
    weights, waveform = tmp_path / "passt.pt", 0.1 * torch.randn(2, SECOND)
    torch.save(tiny().net.state_dict(), weights)
    factory = partial(PaSST, weights=str(weights), settings=TINY)
    model = GenreClassifier(factory, ["a", "b"], sample_rate=32000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    weights.unlink()
    restored = load_model(tmp_path / "model.ckpt").eval()
    torch.testing.assert_close(restored(waveform), model(waveform))
