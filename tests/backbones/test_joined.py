"""Joined backbones embed as their parts do, each at its own sample rate, and are restored without files."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_genre import CRNN, RNN, GenreClassifier, LitGenreError, LogMel, load_model
from lit_genre.backbones.joined import JoinedBackbones
from lit_genre.model.spectrogram.resampling import Resampler
from lit_genre.testing import check_backbone
from tests.helpers.wave_net import WaveNet

IDENTITY = "torch.nn.Identity"


def path_of(backbone: type) -> str:
    return f"{backbone.__module__}.{backbone.__qualname__}"


def part(backbone: type, rate: int, frontend: Any = IDENTITY, **init_args: Any) -> dict[str, Any]:
    described = {"class_path": path_of(backbone), "init_args": init_args}
    return {"backbone": described, "frontend": frontend, "sample_rate": rate}


LOG_MEL = {"class_path": "lit_genre.LogMel", "init_args": {"n_mels": 16, "n_fft": 512, "hop_length": 256}}
WAVE = part(WaveNet, 16000)
MEL = part(RNN, 24000, LOG_MEL, lstm_dim=4)
Joined = partial(JoinedBackbones, parts=[WAVE, MEL])


def model_of(parts: list[dict[str, Any]], rate: int = 24000, **options: Any) -> GenreClassifier:
    factory = partial(JoinedBackbones, parts=parts)
    frontend: Any = nn.Identity
    return GenreClassifier(factory, ["a", "b"], sample_rate=rate, clip_seconds=1, frontend=frontend, **options)


def test_the_embedding_joins_those_of_the_parts_at_their_sample_rates() -> None:
    joined = Joined((24000,)).eval()
    assert joined.sample_rate == 24000
    wave_net, rnn = joined.backbones
    assert joined.embedding_dim == wave_net.embedding_dim + rnn.embedding_dim == 68
    for n in (24000, 10000, 30001):
        waveform = torch.randn(2, n)
        frontend = LogMel(24000, n_mels=16, n_fft=512, hop_length=256)
        expected = [wave_net(Resampler(24000, 16000)(waveform)), rnn(frontend(waveform))]
        torch.testing.assert_close(joined(waveform), torch.cat(expected, -1))


def test_joined_backbones_meet_the_contract() -> None:
    check_backbone(Joined)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([WAVE], "JoinedBackbones gets 1 parts, but parts must be a list of 2 to 8"),
        ([WAVE] * 9, "gets 9 parts"),
        ("ab", "gets a str"),
        ([WAVE, "b"], "Part 2 of JoinedBackbones is a str, but must have exactly the keys backbone, frontend"),
        ([WAVE, {**WAVE, "weights": 1}], "Part 2 of JoinedBackbones is backbone, frontend, sample_rate, weights"),
        ([{**WAVE, "sample_rate": 3}, WAVE], "Part 1 of JoinedBackbones has the sample_rate 3"),
        ([{**WAVE, "sample_rate": True}, WAVE], "the sample_rate True"),
        ([{**WAVE, "backbone": "RNN"}, WAVE], "Part 1 of JoinedBackbones: backbone has the class_path 'RNN', but it"),
        ([{**WAVE, "frontend": ["a.b"]}, WAVE], "Part 1 of JoinedBackbones: frontend must be a class path"),
        ([WAVE, part(JoinedBackbones, 16000, parts=[WAVE, WAVE])], "cannot be a part of JoinedBackbones"),
        ([WAVE, {**WAVE, "backbone": IDENTITY}], "torch.nn.Identity is not a lit_genre.Backbone"),
        ([WAVE, {**WAVE, "backbone": "no_such.Net"}], "no_such.Net, a part of JoinedBackbones, cannot be imported"),
        ([WAVE, part(CRNN, 24000)], "The backbone CRNN takes a mel"),
        ([WAVE, part(WaveNet, 24000)], "WaveNet was made for 16000 Hz, but sample_rate is 24000"),
    ],
)
def test_other_parts_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        JoinedBackbones((24000,), parts)


def test_another_sample_rate_than_the_largest_of_the_parts_is_refused() -> None:
    with pytest.raises(LitGenreError, match="JoinedBackbones was made for 24000 Hz, but sample_rate is 16000"):
        model_of([WAVE, MEL], rate=16000)


def test_a_checkpoint_is_restored_without_the_files_of_the_parts(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(WaveNet((16000,)).state_dict(), weights)
    model = model_of([part(WaveNet, 16000, weights=str(weights)), MEL]).eval()
    weights.unlink()
    content = {"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    torch.save(content, tmp_path / "model.ckpt")
    restored = load_model(tmp_path / "model.ckpt", trust=True)
    assert restored.hparams["backbone"]["init_args"]["parts"][0]["backbone"]["init_args"] == {"weights": None}
    waveform = torch.randn(2, 24000)
    assert torch.equal(restored(waveform), model(waveform))


def test_a_frozen_part_stays_in_evaluation_mode() -> None:
    joined = JoinedBackbones((24000,), [part(WaveNet, 16000, freeze=True), MEL]).train()
    frozen, trained = joined.backbones
    assert (frozen.training, trained.training, joined.freeze) == (False, True, False)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_finetune_is_for_all_parts() -> None:
    parts = [part(WaveNet, 16000, freeze=True), MEL]
    head, full = (model_of(parts, finetune=finetune).backbone for finetune in ("head", "full"))
    assert not any(module.training for module in (*head.backbones[0].modules(), *head.backbones[1].modules()))
    assert not any(parameter.requires_grad for parameter in head.parameters())
    assert full.backbones[0].freeze is False
    assert full.backbones[0].train().training
    assert all(parameter.requires_grad for parameter in full.parameters())
    with pytest.raises(LitGenreError, match="JoinedBackbones has 0 layers"):
        model_of(parts, finetune="last:2")


def test_front_ends_stay_in_float32() -> None:
    model = model_of([WAVE, MEL]).eval()
    expected = model.predict_with_embedding(waveform := torch.randn(1, 24000))[1]
    model.bfloat16()
    assert {buffer.dtype for buffer in model.backbone.inputs.buffers()} == {torch.float32}
    assert {parameter.dtype for parameter in model.backbone.parameters()} == {torch.bfloat16}
    embedding = model.predict_with_embedding(waveform)[1]
    torch.testing.assert_close(embedding.float(), expected, atol=0.05, rtol=0.05)
