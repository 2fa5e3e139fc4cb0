"""Losses against their definitions, and what their weights and smoothing lead to."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.training.losses import (
    MAX_POS_WEIGHT,
    BinaryCrossEntropy,
    CrossEntropy,
    FocalLoss,
    Loss,
    class_weights_of,
)
from tests.helpers.runs import QUIET, SMALL, Run
from tests.model.test_classifier import CLASSES, WaveNetwork

RARE = torch.tensor([100.0, 1.0, 1.0])
"""Class weights where the first class is a hundred times as rare as the others."""


class Margin(Loss):
    """A loss of a user's own."""

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return (logits * (1 - self.smoothed(target))).sum(-1).mean()


class Stateful(Margin):
    """A loss with a parameter, which no checkpoint has."""

    def __init__(self, task: str, label_smoothing: float = 0.0) -> None:
        super().__init__(task, label_smoothing)
        self.scale = nn.Parameter(torch.ones(()))


def logits_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 3, generator=generator), torch.randint(3, (16,), generator=generator)


def mixed() -> Tensor:
    """Targets as Mixup leaves them."""
    target = F.one_hot(torch.arange(16) % 3, 3).float()
    return target.lerp(target.roll(1, 0), torch.linspace(0, 1, 16)[:, None])


def best_prediction(loss: Loss, target: Tensor, weights: Tensor) -> Tensor:
    """Find the probabilities of the lowest loss of one clip, shape (c,)."""
    logits = torch.zeros(1, target.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        loss(logits, target, weights).backward()
        optimizer.step()
    return logits.detach().softmax(-1)[0]


@pytest.mark.parametrize("kind", [CrossEntropy, FocalLoss])
def test_the_best_prediction_for_a_smoothed_label_is_its_genre_however_rare_another_is(kind: type[Loss]) -> None:
    loss = kind("multiclass", label_smoothing=0.1)
    best = best_prediction(loss, torch.tensor([[0.0, 0.0, 1.0]]), RARE)
    assert int(best.argmax()) == 2
    # The two other genres are as far from the truth, whatever their weights are.
    assert best[0] == pytest.approx(float(best[1]), rel=1e-3)


def test_smoothing_comes_before_weighing() -> None:
    logits, label = logits_and_labels()
    found = CrossEntropy("multiclass", 0.3)(logits, F.one_hot(label, 3).float(), RARE)
    each = F.cross_entropy(logits, label, label_smoothing=0.3, reduction="none")
    torch.testing.assert_close(found, (each * RARE[label]).mean())


def test_a_mixed_clip_has_the_expected_weight_of_its_target() -> None:
    logits, _ = logits_and_labels()
    target, smoothing = mixed(), 0.3
    each = -((target * (1 - smoothing) + smoothing / 3) * logits.log_softmax(-1)).sum(-1)
    expected = (each * (target * RARE).sum(-1)).mean()
    torch.testing.assert_close(CrossEntropy("multiclass", smoothing)(logits, target, RARE), expected)


@pytest.mark.parametrize(("weights", "smoothing"), [(None, 0.0), (None, 0.3), (RARE, 0.0)])
def test_weights_or_smoothing_alone_are_those_of_torch(weights: Tensor | None, smoothing: float) -> None:
    logits, _ = logits_and_labels()
    found = CrossEntropy("multiclass", smoothing)(logits, mixed(), weights)
    assert torch.equal(found, F.cross_entropy(logits, mixed(), weight=weights, label_smoothing=smoothing))


def test_labels_are_smoothed_in_training_alone() -> None:
    logits, target = torch.tensor([[30.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    for kind in (CrossEntropy, FocalLoss):
        loss = kind("multiclass", label_smoothing=0.2)
        # A third of the 0.2 falls on each genre, and two of them are 30 away.
        assert loss(logits, target) == pytest.approx(2 / 3 * 0.2 * 30, rel=1e-3)
        assert loss.eval()(logits, target) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("weights", [None, RARE])
def test_focal_loss_by_its_definition_and_of_gamma_0(weights: Tensor | None) -> None:
    logits, label = logits_and_labels()
    target, given = F.one_hot(label, 3).float(), torch.ones(3) if weights is None else weights
    prob = logits.softmax(-1)[torch.arange(16), label]
    expected = (-((1 - prob) ** 2) * prob.log() * given[label]).mean()
    torch.testing.assert_close(FocalLoss("multiclass", gamma=2)(logits, target, weights), expected)
    plain = CrossEntropy("multiclass")(logits, target, weights)
    torch.testing.assert_close(FocalLoss("multiclass", gamma=0)(logits, target, weights), plain)

    several = (logits > 0.3).float()
    prob = torch.where(several > 0, logits.sigmoid(), 1 - logits.sigmoid())
    expected = (-((1 - prob) ** 2) * prob.log() * torch.where(several > 0, given, torch.ones(3))).mean()
    torch.testing.assert_close(FocalLoss("multilabel", gamma=2)(logits, several, weights), expected)
    plain = BinaryCrossEntropy("multilabel")(logits, several, weights)
    torch.testing.assert_close(FocalLoss("multilabel", gamma=0)(logits, several, weights), plain)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_focal_loss_of_a_certain_prediction_has_a_finite_gradient(task: str) -> None:
    logits = torch.tensor([[500.0, -500.0, -500.0]], requires_grad=True)
    FocalLoss(task, gamma=0.5)(logits, torch.tensor([[1.0, 0.0, 0.0]])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_weight_of_a_presence_has_a_bound() -> None:
    weights = class_weights_of([30_000, 3000, 1, 0], "multilabel")
    assert weights.tolist() == [1, 10, MAX_POS_WEIGHT, MAX_POS_WEIGHT]
    with pytest.raises(LitGenreError, match="class_counts"):
        class_weights_of(None, "multilabel")


def test_a_model_takes_any_loss_and_its_checkpoint_names_none() -> None:
    def model(loss: object) -> GenreClassifier:
        return GenreClassifier(WaveNetwork, CLASSES, clip_seconds=1, frontend=nn.Identity, loss=loss)

    assert isinstance(model(Margin).loss, Margin)
    assert isinstance(model(None).loss, CrossEntropy)
    assert "loss" not in model(FocalLoss).hparams
    with pytest.raises(
        LitGenreError, match="BinaryCrossEntropy supports the task multilabel, but the data has the task multiclass"
    ):
        model(BinaryCrossEntropy)
    with pytest.raises(LitGenreError, match="Stateful has weights of its own, scale"):
        model(Stateful)
    with pytest.raises(LitGenreError, match="Identity is no subclass"):
        model(lambda task, label_smoothing: nn.Identity())
    with pytest.raises(LitGenreError, match="gamma is -1"):
        FocalLoss("multiclass", gamma=-1)


def test_a_loss_is_named_on_the_command_line(run: Run, fma: Path) -> None:
    words = (*SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    run("fit", *words, "--model.loss=FocalLoss", "--model.loss.gamma=3", "--trainer.default_root_dir=focal")
    assert "class_path: lit_genre.FocalLoss\n    init_args:\n      gamma: 3.0" in Path("focal/config.yaml").read_text()
    Path("own.yaml").write_text("model:\n  loss:\n    class_path: tests.model.training.test_losses.Margin\n")
    run("fit", *words, "--config=own.yaml", "--trainer.default_root_dir=own")
    assert Path("own/checkpoints/best.ckpt").exists()
    with pytest.raises(SystemExit, match="BinaryCrossEntropy supports the task multilabel"):
        run("fit", *words, "--model.loss=BinaryCrossEntropy", "--trainer.default_root_dir=binary")
