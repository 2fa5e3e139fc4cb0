"""MusiCNN meets the contract of backbones, and has the embeddings of the TensorFlow program."""

import importlib.util
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import lit_genre_musicnn
import numpy as np
import pandas as pd
import pytest
import torch
from lit_genre_musicnn import LogC, MusiCNN

from lit_genre import write_demo
from lit_genre.__main__ import main
from lit_genre.cli.parsing.configs import find_config
from lit_genre.testing import check_backbone, check_config

SHAPE = (96, 63)
"""Shape of a spectrogram of 1 s."""


@pytest.mark.parametrize("options", [{}, {"weights": "MTT_musicnn", "freeze": False}, {"weights": None}])
def test_contract(options: dict[str, Any]) -> None:
    check_backbone(partial(MusiCNN, **options), input_shape=SHAPE)


def test_config() -> None:
    check_config(Path(find_config("encoders/musicnn")))


def test_embeddings_equal_those_of_tensorflow() -> None:
    random = np.random.default_rng(0)
    mel = np.log10(1 + 1e4 * random.random((2, 187, 96)).astype("f4") ** 8).astype("f4")
    with torch.no_grad():
        embedding = MusiCNN(SHAPE).eval()(torch.from_numpy(mel).transpose(1, 2))
    # musicnn 0.1.0's `penultimate`, by TensorFlow 2.21.
    dense = embedding[:, :200].numpy()
    assert dense[0, :4] == pytest.approx([0.10885, -0.12703, -0.28483, 3.85104], abs=1e-4)
    assert dense[1, -4:] == pytest.approx([-0.51849, -0.42077, 0.28352, -0.2934], abs=1e-4)
    assert embedding.shape == (2, 1706)


def test_the_embedding_is_the_last_layer() -> None:
    backbone, mel = MusiCNN(SHAPE).eval(), torch.rand(2, *SHAPE)
    with torch.no_grad():
        layers = backbone.layer_outputs(mel, range(5))
        torch.testing.assert_close(layers[4][:, 0], backbone(mel))
    assert [tuple(layer.shape) for layer in layers] == [(2, 63, 561), *[(2, 63, 64)] * 3, (2, 1, 1706)]


def test_front_end_equals_librosa() -> None:
    import librosa

    waveform = np.random.default_rng(0).normal(0, 0.1, 16000).astype("f4")
    power = librosa.feature.melspectrogram(y=waveform, sr=16000, hop_length=256, n_fft=512, n_mels=96)
    expected = np.log10(10000 * power + 1)
    assert LogC(16000)(torch.from_numpy(waveform)[None])[0].numpy() == pytest.approx(expected, abs=1e-3)


def test_a_frozen_network_stays_in_evaluation_mode() -> None:
    for backbone in (MusiCNN(SHAPE), MusiCNN(SHAPE).train()):
        assert not any(module.training for module in backbone.modules())
        assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(module.training for module in MusiCNN(SHAPE, freeze=False).modules())


def test_an_error_without_the_weights_has_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.util.find_spec("musicnn")
    assert spec is not None
    assert spec.origin is not None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install --no-deps .*musicnn==0\.1\.0"):
        MusiCNN(SHAPE)
    shutil.copytree(Path(spec.origin).parent / "MSD_musicnn", tmp_path / "MSD_musicnn")
    with (tmp_path / "MSD_musicnn" / ".data-00000-of-00001").open("r+b") as file:
        file.write(b"\1")
    spec.origin = str(tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"is not the file of musicnn 0\.1\.0"):
        MusiCNN(SHAPE)


def test_another_number_of_bands_is_an_error() -> None:
    with pytest.raises(ValueError, match="for 96 mel bands: set `frontend: lit_genre_musicnn"):
        MusiCNN((128, 188))


def test_a_finished_probe_does_not_need_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_demo(Path("data"), artists=3, tracks_per_artist=1, seconds=3.0)
    config = find_config("encoders/musicnn")
    main(["probe", "--config", str(config), "--data.root=data", "--output=probe", "--device=cpu"])
    assert "embeddings of size 1706" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(lit_genre_musicnn, "_package", lambda: pytest.fail("the package was searched"))
    before = pd.read_csv("probe/test.csv")
    main(["test", "--ckpt_path=probe/checkpoints/best.ckpt", "--trainer.accelerator=cpu", "--trainer.logger=false"])
    assert pd.read_csv("probe/test.csv")["predicted"].tolist() == before["predicted"].tolist()
    checkpoint = "--ckpt_path=probe/checkpoints/best.ckpt"
    main(["classify", checkpoint, "data/fma_small", "--device=cpu", "--output=predictions.csv"])
    assert len(pd.read_csv("predictions.csv")) == 24


@pytest.mark.parametrize("weights", ["MSD_musicnn", "MTT_musicnn"])
def test_tags_are_computed_from_the_dense_layer(weights: Any) -> None:
    model = lit_genre_musicnn.tagger(weights).eval()
    waveform = 0.1 * torch.randn(2, 48000)
    with torch.no_grad():
        probs, embedding = model.predict_with_embedding(waveform)
        backbone = MusiCNN(SHAPE, weights=weights)
        sizes = {name: tensor.numel() for name, tensor in backbone._tensors().items()}
        values = lit_genre_musicnn._read(weights, sizes)
        kernel = torch.from_numpy(values["dense_1/kernel"].reshape(200, 50).copy())
        expected = (embedding[:, :200] @ kernel + torch.from_numpy(values["dense_1/bias"].copy())).sigmoid()
    torch.testing.assert_close(probs, expected, atol=1e-5, rtol=1e-4)
    assert len(set(model.classes)) == 50


def test_noise_is_not_called_what_it_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    # Beats of noise, and a slow chord: the tags of MagnaTagATune know the difference.
    random, time = np.random.default_rng(0), np.arange(10 * 16000) / 16000
    beats = random.normal(0, 0.3, len(time)) * np.exp(-20 * (time % 0.5))
    chord = sum(0.1 * np.sin(2 * np.pi * pitch * time) for pitch in (220, 277, 330))
    for name, sound in {"beats": beats, "chord": chord}.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, 16000)
    output = tmp_path / "tags.csv"
    main(["tags", str(tmp_path), "--tagger=MusiCNN-MTT", f"--output={output}", "--device=cpu"])
    table = pd.read_csv(output)
    assert len(table) == 2
    rows = {Path(row.iloc[0]).stem: row for _, row in table.iterrows()}
    assert rows["beats"]["drums"] > rows["chord"]["drums"]
    assert rows["chord"]["slow"] > rows["beats"]["slow"]
    assert "50 tags" not in "".join(capsys.readouterr())


def test_a_tagger_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "song.wav").touch()
    with pytest.raises(SystemExit, match=r"No installed package has the tagger Other \(installed: .*MusiCNN"):
        main(["tags", str(tmp_path), "--tagger=Other"])
