"""BEATs has the embeddings of the published code, of any length, and reads the files of its authors."""

import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from lightning.pytorch import Trainer
from lit_genre_encoders.beats import BEATs
from torch import Tensor, nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.testing import check_backbone

published = pytest.importorskip(
    "speechbrain.lobes.models.beats", reason="BEATs needs its package: pip install speechbrain"
)

TINY: Final[dict[str, Any]] = {
    "embed_dim": 8, "encoder_embed_dim": 16, "encoder_layers": 2, "encoder_ffn_embed_dim": 16,
    "encoder_attention_heads": 2, "conv_pos": 8, "conv_pos_groups": 2,
}  # fmt: skip
CONFIG: Final = {
    **TINY, "input_patch_size": 16, "relative_position_embedding": True, "num_buckets": 8, "max_distance": 20,
    "gru_rel_pos": True, "deep_norm": True,
}  # fmt: skip
SECOND: Final = 16000

TOLERANCE: Final = 1e-4
"""Largest difference from the embedding of the published code. float32 with the same operations differs by less."""


def tiny(weights: str | None = None, **settings: Any) -> BEATs:
    torch.manual_seed(0)
    return BEATs((SECOND,), weights, settings=settings if weights else {**TINY, **settings}).eval()


def write(path: Path, **config: Any) -> str:
    """Write a file of weights as the authors' code does, with large random weights."""
    torch.manual_seed(0)
    torch.save({"cfg": {**CONFIG, **config}}, path)
    # The package reads the sizes from a file that has the weights, too.
    settings = published.BEATsConfig({**CONFIG, **config})
    network = published.BEATs()
    network.patch_embedding = nn.Conv2d(1, 8, 16, 16, bias=False)
    network.layer_norm, network.post_extract_proj = nn.LayerNorm(8), nn.Linear(8, 16)
    network.encoder = published.TransformerEncoder(settings)
    if settings.finetuned_model:
        network.predictor = nn.Linear(16, settings.predictor_class)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    tensors = network.state_dict()
    # The names of weight normalisation in the authors' code, which is older.
    for old, new in (("original0", "weight_g"), ("original1", "weight_v")):
        tensors[f"encoder.pos_conv.0.{new}"] = tensors.pop(f"encoder.pos_conv.0.parametrizations.weight.{old}")
    torch.save({"cfg": {**CONFIG, **config}, "model": tensors}, path)
    return str(path)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("freeze", [False, True])
def test_contract(freeze: bool) -> None:
    check_backbone(partial(BEATs, weights=None, settings=TINY, freeze=freeze), input_shape=(SECOND,))


@pytest.mark.parametrize("n_samples", [2800, 12345, 3 * SECOND])
def test_the_embedding_is_that_of_the_published_code(tmp_path: Path, n_samples: int) -> None:
    path, waveform = write(tmp_path / "beats.pt"), noise(2, n_samples)
    network = published.BEATs(path)
    expected = network(waveform, torch.ones(2))[0]
    assert expected.std() > 0.1
    # The sizes are in the file.
    backbone = BEATs((SECOND,), path).eval()
    torch.testing.assert_close(backbone.encode(waveform), expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(backbone(waveform), expected.mean(1), atol=TOLERANCE, rtol=0)


def test_a_file_that_was_fine_tuned_has_the_same_embedding(tmp_path: Path) -> None:
    path = write(tmp_path / "tags.pt", finetuned_model=True, predictor_class=5)
    expected, probs, _ = published.BEATs(path)(noise(1, SECOND), torch.ones(1))
    assert probs.shape == (1, 5)
    torch.testing.assert_close(tiny(path).encode(noise(1, SECOND)), expected, atol=TOLERANCE, rtol=0)


def test_layers() -> None:
    backbone, waveform = tiny(), noise(2, SECOND)
    first, second, last = backbone.layer_outputs(waveform, [0, 1, 2])
    assert first.shape == second.shape == last.shape == (2, 48, 16)
    torch.testing.assert_close(last, backbone.encode(waveform))
    block = backbone.layer_blocks()[0]
    torch.testing.assert_close(block(first.transpose(0, 1))[0].transpose(0, 1), second)


def test_a_pickled_copy_trains_the_same_parameters() -> None:
    backbone = BEATs((SECOND,), None, freeze=False, settings=TINY)
    backbone.layer_blocks()[0].requires_grad_(False)
    copied = pickle.loads(pickle.dumps(backbone))
    trained = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    assert {*trained.values()} == {False, True}
    assert {name: parameter.requires_grad for name, parameter in copied.named_parameters()} == trained


def test_a_short_clip_is_padded_with_zeros() -> None:
    backbone, waveform = tiny(), noise(1, 300)
    torch.testing.assert_close(backbone(waveform), backbone(nn.functional.pad(waveform, (0, 2800 - 300))))


def test_the_published_size() -> None:
    with torch.device("meta"):
        backbone = BEATs((SECOND,))
    assert (backbone.embedding_dim, len(backbone.layer_blocks())) == (768, 12)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 90_311_792


def test_unsuitable_weights_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(
        LitGenreError, match=r"no file of weights .*weights.pt. Download one from https://github.com/mic"
    ):
        tiny(str(path))
    path.write_bytes(b"not a file of torch")
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt cannot be read: .* Download the file again"):
        tiny(str(path))
    for content in ([1, 2], {"model": {}}, {"model": 3, "cfg": {}}):
        torch.save(content, path)
        with pytest.raises(LitGenreError, match=r"weights .*weights.pt are of another network: they have no cfg"):
            tiny(str(path))
    torch.save({"cfg": CONFIG, "model": nn.Linear(2, 3).state_dict()}, path)
    with pytest.raises(LitGenreError, match=r"weights .*weights.pt do not fit BEATs: .* settings to the sizes"):
        tiny(str(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, "BEATs has no settings width. Its settings are input_patch_size, embed_dim"),
        ({"encoder_attention_heads": 3}, "The settings do not fit BEATs: .* multiple of encoder_attention_heads"),
        ({"encoder_layers": "two"}, "The settings do not fit BEATs"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        tiny(**settings)


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "speechbrain.lobes.models.beats", None)
    with pytest.raises(LitGenreError, match="speechbrain cannot be imported .*: pip install speechbrain"):
        tiny()


def test_a_checkpoint_needs_no_file(tmp_path: Path) -> None:
    weights, waveform = tmp_path / "beats.pt", noise(2, SECOND)
    factory = partial(BEATs, weights=write(weights))
    model = GenreClassifier(factory, ["a", "b"], sample_rate=16000, clip_seconds=1, frontend=nn.Identity).eval()
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    weights.unlink()
    restored = load_model(tmp_path / "model.ckpt").eval()
    torch.testing.assert_close(restored(waveform), model(waveform))
