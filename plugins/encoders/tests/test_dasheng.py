"""Dasheng has the embeddings of the published code, for each clip and of any length."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.dasheng import _ADDRESSES, Dasheng
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

published = pytest.importorskip(
    "dasheng.pretrained.pretrained", reason="Dasheng needs its package: pip install dasheng"
)

# A window of 40 frames is 0.4 s.
TINY: Final[dict[str, Any]] = {"embed_dim": 16, "depth": 2, "num_heads": 2, "target_length": 40}
SECOND: Final = 16000

TOLERANCE: Final = 1e-4
"""Largest difference from the embedding of the published code. float32 with the same operations differs by less."""


def randomize(module: nn.Module) -> None:
    """Set weights that are larger than those at the start of training, and statistics of decibels."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    for name, statistics in module.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(statistics, -30, 5)
        if name.endswith("running_var"):
            nn.init.uniform_(statistics, 100, 400)


def tiny(weights: str | None = None, **settings: Any) -> Dasheng:
    backbone = Dasheng((SECOND,), weights, settings={**TINY, **settings})
    if weights is None:
        randomize(backbone)
    return backbone.eval()


def published_network(**settings: Any) -> Any:
    """Return the published network with random weights."""
    network = published.Dasheng(**{**TINY, **settings})
    randomize(network)
    return network.eval()


def write(network: Any, path: Path, **config: Any) -> str:
    """Write a file of weights as the published code reads it."""
    torch.save({"model": network.state_dict(), "config": config}, path)
    return str(path)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(Dasheng, weights=None, settings=TINY, freeze=freeze), input_shape=(SECOND,))


# One window, several windows the last of which has one step, and several equal ones.
@pytest.mark.parametrize("n_samples", [1600, 13000, 3 * 6400 - 160])
def test_the_embedding_is_that_of_the_published_code(tmp_path: Path, n_samples: int) -> None:
    path = write(published_network(), tmp_path / "dasheng.pt", **TINY, mask_ratio=0.75)
    network, waveform = published.Dasheng.from_pretrained(path).eval(), noise(1, n_samples)
    # The sizes are in the file.
    backbone = Dasheng((SECOND,), path).eval()
    expected = network(waveform)
    assert expected.std() > 0.1
    assert backbone.encode(waveform).shape == expected.shape
    torch.testing.assert_close(backbone(waveform), expected.mean(1), atol=TOLERANCE, rtol=0)


def test_an_embedding_does_not_depend_on_the_other_clips(tmp_path: Path) -> None:
    network, quiet, loud = published_network(), 1e-5 * noise(1, SECOND), 10 * noise(1, SECOND)
    backbone = tiny(write(network, tmp_path / "dasheng.pt"))
    both = torch.cat([quiet, loud])
    expected = torch.cat([network(quiet), network(loud)]).mean(1)
    torch.testing.assert_close(backbone(both), expected, atol=TOLERANCE, rtol=0)
    # The published code limits the quiet clip to 120 dB below the loud one.
    assert (network(both).mean(1) - expected)[0].abs().max() > 100 * TOLERANCE


def test_layers() -> None:
    backbone, waveform = tiny(), noise(2, SECOND)
    first, second, last = backbone.layer_outputs(waveform, [0, 1, 2])
    assert first.shape == second.shape == last.shape == (2, 25, 16)
    torch.testing.assert_close(last.mean(1), backbone(waveform))
    # The steps of a window attend to each other only; the second window is steps 10 to 19.
    torch.testing.assert_close(backbone.net.blocks[0](first[:, 10:20]), second[:, 10:20])
    torch.testing.assert_close(backbone.net.norm(backbone.net.blocks[1](second[:, 20:])), last[:, 20:])


def test_a_short_clip_is_padded_with_zeros() -> None:
    backbone, waveform = tiny(), noise(1, 300)
    torch.testing.assert_close(backbone(waveform), backbone(nn.functional.pad(waveform, (0, 1152 - 300))))


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        backbone = Dasheng((SECOND,))
    assert (backbone.embedding_dim, len(backbone.layer_blocks())) == (768, 12)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 85_447_808


def test_the_addresses_are_those_of_the_published_package() -> None:
    expected = {address.partition("?")[0] for address in published.PRETRAINED_CHECKPOINTS.values()}
    assert {*_ADDRESSES.values()} == expected


def test_a_published_name_sets_the_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    source = tmp_path / "published.pt"
    monkeypatch.setitem(_ADDRESSES, "06B", source.as_uri())
    with pytest.raises(LitGenreError, match=r"weights 06B cannot be downloaded from file:.*published.pt .*set weights"):
        Dasheng((SECOND,), "06B")
    size = {"embed_dim": 1280, "depth": 1, "num_heads": 16, "target_length": 40}
    # The training script of the package stores a path, too.
    write(published_network(**size), source, target_length=40, outputdir=tmp_path)
    backbone: Any = Dasheng((SECOND,), "06B", settings={"depth": 1})
    assert backbone.settings == size
    assert backbone.net.time_pos_embed.shape[-1] == 10


def test_unsuitable_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(LitGenreError, match=r"no file of weights .*weights.pt.* or to base or 06B or 12B"):
        tiny(str(path))
    path.write_bytes(b"not a file of torch")
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt cannot be read: .* Download the file again"):
        tiny(str(path))
    for content in ([1, 2], {"model": 3}):
        torch.save(content, path)
        with pytest.raises(LitGenreError, match=r"weights .*weights.pt are of another network: .* Use other weights"):
            tiny(str(path))
    for content in (nn.Linear(2, 3).state_dict(), {"model": tiny(embed_dim=8).net.state_dict()}):
        torch.save(content, path)
        with pytest.raises(LitGenreError, match=r"weights .*weights.pt do not fit Dasheng: .* settings to the sizes"):
            tiny(str(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, "Dasheng has no settings width. Its settings are patch_size, .*embed_dim, depth"),
        ({"num_heads": 3}, "The settings .*'num_heads': 3.* do not fit Dasheng: .*divisible by num_heads"),
        ({"depth": "two"}, "The settings .*'depth': 'two'.* do not fit Dasheng"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        tiny(**settings)


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dasheng.pretrained.pretrained", None)
    with pytest.raises(LitGenreError, match="dasheng cannot be imported .*: pip install dasheng"):
        tiny()


def test_a_checkpoint_needs_neither_file_nor_network(tmp_path: Path) -> None:
    weights, waveform = tmp_path / "dasheng.pt", noise(2, SECOND)
    factory = partial(Dasheng, weights=write(published_network(), weights, **TINY))
    model = GenreClassifier(factory, ["a", "b"], sample_rate=16000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    weights.unlink()
    restored = load_model(tmp_path / "model.ckpt").eval()
    torch.testing.assert_close(restored(waveform), model(waveform))
