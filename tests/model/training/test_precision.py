"""Training in true half precision: the front-end computes in float32, the network in the precision asked for."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.model.scored_network import TrackScoresCallback
from lit_genre.model.spectrogram.augment import FilterAugment, Mixup, SpecAugment
from lit_genre.model.spectrogram.frontend import LogMel
from tests.model.checks.test_finite import fit, plain
from tests.model.test_classifier import CLASSES, WaveNetwork, batch, small

HALF = {"bf16-true": torch.bfloat16, "16-true": torch.float16}

pytestmark = pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")

CLOSE = 0.05
"""How far probabilities of a network of bfloat16, three digits, are from those of float32."""


@pytest.mark.parametrize("precision", HALF)
def test_a_network_is_trained_in_true_half_precision(tmp_path: Path, precision: str) -> None:
    model = plain(augment=[SpecAugment(), FilterAugment(), Mixup()], label_smoothing=0.1, mean_normalized_channels=True,
                  class_weights=True, class_counts=[60, 30, 10],
                  optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.01))  # fmt: skip
    before = {name: value.clone() for name, value in model.state_dict().items()}
    received: list[TrackScores] = []

    class Capture(TrackScoresCallback):
        def on_track_scores(self, trainer: object, pl_module: object, split: str, scores: TrackScores) -> None:
            assert split == "val"
            received.append(scores)

    fit(model, tmp_path, precision=precision, epochs=1, limit_train_batches=1, more_callbacks=[Capture()])
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(("backbone", "head"))}
    assert {value.dtype for value in weights.values()} == {HALF[precision]}
    assert not torch.equal(model.head.weight.float(), before["head.weight"])
    # Neither the front-end nor the class weights have lost digits.
    assert {value.dtype for value in model.frontend.buffers()} == {torch.float32}
    assert model.loss_weights is not None
    assert model.loss_weights.dtype == torch.float32
    (scores,) = received
    assert scores.probs.dtype == torch.float32


@pytest.mark.parametrize("engine", ["fft", "nnaudio"])
def test_probabilities_are_float32_and_the_front_end_is_that_of_full_precision(engine: str) -> None:
    full, half = (small(frontend=partial(LogMel, engine=engine)).eval() for _ in range(2))
    half.bfloat16()
    assert torch.equal(half.spectrogram(batch().waveform), full.spectrogram(batch().waveform))
    probs = half.predict_with_embedding(batch().waveform)[0]
    assert probs.dtype == half(batch().waveform).dtype == torch.float32
    torch.testing.assert_close(probs, full.predict_with_embedding(batch().waveform)[0], atol=CLOSE, rtol=0)


def test_a_conversion_leaves_the_order_of_the_parts_and_comes_back() -> None:
    model = small()
    names = list(model.state_dict())
    model.double()
    assert list(model.state_dict()) == names
    assert model(batch().waveform).dtype == torch.float32
    model.float()
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_samples_reach_a_waveform_network_in_its_precision() -> None:
    model = GenreClassifier(WaveNetwork, CLASSES, clip_seconds=1, frontend=nn.Identity).bfloat16()
    assert model(batch().waveform).shape == (6, 3)
