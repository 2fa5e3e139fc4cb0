"""MusicFM has the embeddings of the published code, with the network of MuQ."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from lit_genre_encoders.musicfm import MusicFM

from lit_genre import LitGenreError, load_model
from lit_genre.testing import check_backbone

pytest.importorskip("muq", reason="the network is built from its parts: pip install muq")
from test_muq import (
    CONFORMER,
    SECOND,
    TINY,
    TOLERANCE,
    randomize,
    return_hidden_states,
    save,
    signal,
    write_to_cache,
)
from transformers import Wav2Vec2ConformerConfig

STATISTICS = {"melspec_2048_mean": 3.07, "melspec_2048_std": 21.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a file of random weights, and its statistics."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fma_stats.json").write_text(json.dumps(STATISTICS))
    backbone = MusicFM(SECOND, None, settings=TINY)
    randomize(backbone)
    write_weights(backbone, tmp_path / "data" / "pretrained_fma.pt")
    return tmp_path / "data"


def write_weights(model: torch.nn.Module, path: Path) -> None:
    """Write weights as the published files contain them: with names that begin with "model."."""
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in model.state_dict().items()}}, path)


def test_contract() -> None:
    # A frozen one is checked for MuQ, which has the same network.
    check_backbone(partial(MusicFM, weights=None, settings=TINY, freeze=False), input_shape=(16000,))


def test_embeddings_and_layers_equal_those_of_the_published_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip(
        "musicfm.model.musicfm_25hz",
        reason="clone https://github.com/minzwon/musicfm, and put the parent folder of the clone on PYTHONPATH",
    )
    # The published code reads it from the hub, and replaces the numbers of layers and of dimensions.
    config = Wav2Vec2ConformerConfig(**CONFORMER)
    monkeypatch.setattr(Wav2Vec2ConformerConfig, "from_pretrained", lambda name: config)
    sizes = {key: TINY[key] for key in ("conv_dim", "encoder_dim", "encoder_depth")}
    published = module.MusicFM25Hz(**sizes, codebook_size=32, stat_path=folder / "fma_stats.json", model_path=None)
    randomize(published.eval())
    return_hidden_states(published.conformer)
    write_weights(published, folder / "pretrained_fma.pt")
    backbone = MusicFM(SECOND, str(folder / "pretrained_fma.pt"), settings=TINY)
    waveform = signal(60001)
    with torch.inference_mode():
        for layer, states in enumerate(backbone.layer_outputs(waveform, [0, 1, 2])):
            torch.testing.assert_close(states, published.get_latent(waveform, layer), atol=TOLERANCE, rtol=0)
        expected = published.get_latent(waveform, 2).mean(1)
        torch.testing.assert_close(backbone(waveform), expected, atol=TOLERANCE, rtol=0)


def test_a_mean_of_10_more_decibels_is_that_of_louder_music(folder: Path) -> None:
    weights, statistics = str(folder / "pretrained_fma.pt"), folder / "fma_stats.json"
    with torch.inference_mode():
        expected = MusicFM(SECOND, weights, settings=TINY)(signal(24000))
        statistics.write_text(json.dumps({**STATISTICS, "melspec_2048_mean": STATISTICS["melspec_2048_mean"] + 10}))
        louder = MusicFM(SECOND, weights, settings=TINY)(10**0.5 * signal(24000))
    torch.testing.assert_close(louder, expected, atol=TOLERANCE, rtol=0)


def test_published_weights_come_from_the_cache_of_the_hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(LitGenreError, match="pretrained_msd.pt of minzwon/MusicFM cannot be downloaded"):
        MusicFM(SECOND, settings=TINY)
    write_to_cache(tmp_path / "cache", "minzwon/MusicFM", folder)
    assert MusicFM(SECOND, "FMA", settings=TINY).mel_std.item() == pytest.approx(21.0)


def test_a_checkpoint_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    backbone = partial(MusicFM, weights=str(folder / "pretrained_fma.pt"), settings=TINY)
    model = save(backbone, tmp_path / "model.ckpt")
    shutil.rmtree(folder)
    restored = load_model(tmp_path / "model.ckpt").eval()
    torch.testing.assert_close(restored(signal(24000)), model(signal(24000)))


def test_wrong_weights_are_an_error(folder: Path) -> None:
    with pytest.raises(LitGenreError, match="no file of weights absent.pt. Set weights to a file, or to MSD or FMA"):
        MusicFM(SECOND, "absent.pt", settings=TINY)
    with pytest.raises(LitGenreError, match=r"pretrained_fma.pt do not fit MusicFM: .*settings to the sizes"):
        MusicFM(SECOND, str(folder / "pretrained_fma.pt"), settings={**TINY, "conv_dim": 4})
    (folder / "fma_stats.json").unlink()
    with pytest.raises(LitGenreError, match=r"cannot be read from .*/fma_stats.json \(FileNotFoundError.*Download"):
        MusicFM(SECOND, str(folder / "pretrained_fma.pt"), settings=TINY)
