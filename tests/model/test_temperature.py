"""The temperature that is fitted is that with which logits were made overconfident."""

import pytest
import torch

from lit_genre.errors import LitGenreError
from lit_genre.model.temperature import check_temperature, fit_temperature, logits_of


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_finds_the_factor_of_calibrated_logits(task: str, factor: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=random, dtype=torch.float64)
    if task == "multiclass":
        label = torch.multinomial(logits.softmax(-1), 1, generator=random)[:, 0]
    else:
        label = (torch.rand(logits.shape, generator=random) < logits.sigmoid()).long()
    fitted = fit_temperature(factor * logits, torch.arange(len(logits)), label, task)  # type: ignore[arg-type]
    assert fitted.value == pytest.approx(factor, rel=0.05)
    assert fitted.loss < fitted.loss_before
    assert fitted.n_tracks == len(logits)


def test_the_loss_is_that_of_the_mean_over_the_clips_of_a_track() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    fitted = fit_temperature(logits, torch.tensor([7, 7, 9]), torch.tensor([0, 0, 0]), "multiclass")
    probs = logits.double().softmax(-1)
    means = torch.stack([probs[:2].mean(0), probs[2]])
    assert fitted.loss_before == pytest.approx(float(-means[:, 0].log().mean()))
    assert fitted.n_tracks == 2


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_logits_of_probabilities_give_the_same_probabilities(task: str) -> None:
    logits = torch.tensor([[40.0, -40.0, 1.0], [0.3, 0.2, 0.1], [-200.0, 200.0, 0.0]])
    probs = logits.sigmoid() if task == "multilabel" else logits.softmax(-1)
    found = logits_of(probs, task)  # type: ignore[arg-type]
    again = found.sigmoid() if task == "multilabel" else found.softmax(-1)
    assert found.isfinite().all()
    assert torch.allclose(again, probs.double(), atol=1e-7)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(value: float) -> None:
    with pytest.raises(LitGenreError, match="number above 0"):
        check_temperature(value)
