"""A run that diverges stops with an error, and leaves the checkpoints of the epochs before as they were."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.checks import finite
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.training.losses import CrossEntropy
from tests.helpers.plain_net import PlainNet
from tests.helpers.runs import QUIET, SMALL, Run, assert_same_weights, metrics
from tests.model.test_classifier import CLASSES, batch, small

STEPS = 5
"""Batches in an epoch of these runs."""


class Diverges(CrossEntropy):
    """A loss that is NaN from one step of training on, and leaves the weights finite."""

    from_step, step = 7, 0

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        loss = super().forward(logits, target, class_weights)
        if not self.training:
            return loss
        self.step += 1
        return loss if self.step < self.from_step else loss.detach() * math.nan + 0 * loss


class InfiniteInEvaluation(CrossEntropy):
    """A loss that is infinite in evaluation."""

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        loss = super().forward(logits, target, class_weights)
        return loss if self.training else loss + math.inf


def fit(
    model: GenreClassifier,
    folder: Path,
    validates: bool = True,
    epochs: int = 3,
    more_callbacks: Sequence[Callback] = (),
    **options: object,
) -> Trainer:
    """Train without the command line."""
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=epochs,
        default_root_dir=folder, log_every_n_steps=1,
        callbacks=[ModelCheckpoint(folder, "{epoch}", save_top_k=-1), *more_callbacks], **options,
    )  # fmt: skip
    clips = DataLoader([batch()] * STEPS, batch_size=None)
    trainer.fit(model, clips, clips if validates else None)
    return trainer


def plain(**options: object) -> GenreClassifier:
    torch.manual_seed(0)
    return GenreClassifier(PlainNet, CLASSES, clip_seconds=1, **options)


pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
]


@pytest.mark.parametrize("validates", [True, False])
def test_a_loss_that_is_nan_stops_the_run_before_its_epoch_is_saved(tmp_path: Path, validates: bool) -> None:
    message = r"train/loss is nan in epoch 2 at batch 2, after 10 steps\. Lower the learning rate"
    with pytest.raises(LitGenreError, match=message):
        fit(plain(loss=Diverges), tmp_path, validates)
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["epoch=0.ckpt"]


def test_a_long_epoch_is_stopped_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "CHECK_EVERY", 3)
    with pytest.raises(LitGenreError, match="nan in epoch 2 at batch 2, after 8 steps"):
        fit(plain(loss=Diverges), tmp_path)


def test_the_losses_are_read_from_the_device_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    stack = torch.stack

    def count(tensors: list[Tensor], *options: object) -> Tensor:
        counts.append(len(tensors))
        return stack(tensors, *options)

    monkeypatch.setattr(finite, "torch", SimpleNamespace(stack=count))
    fit(plain(), tmp_path, validates=False)
    assert counts.count(STEPS) == 3


@pytest.mark.parametrize(("checked", "where"), [(2, "at batch 1 of the validation before training"), (0, "in epoch 1")])
def test_a_validation_loss_that_is_not_finite_stops_the_run(tmp_path: Path, checked: int, where: str) -> None:
    with pytest.raises(LitGenreError, match=f"val/loss is inf {where}"):
        fit(plain(loss=InfiniteInEvaluation), tmp_path, num_sanity_val_steps=checked)
    assert not list(tmp_path.glob("*.ckpt"))


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    model, trainer = plain(), Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with torch.no_grad():
        model.head.bias[1] = math.inf
    trainer.strategy.connect(model)
    with pytest.raises(LitGenreError, match=r"The weights head\.bias are not finite numbers, and no checkpoint"):
        trainer.save_checkpoint(tmp_path / "broken.ckpt")
    assert not list(tmp_path.iterdir())


def test_a_process_stops_when_another_one_has_a_loss_that_is_not_finite() -> None:
    monitor = finite.LossMonitor("train")
    monitor.add(torch.tensor(1.0))
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(reduce_boolean_decision=lambda own, all: True),
        sanity_checking=False, state=SimpleNamespace(fn="fit"), current_epoch=0, global_step=1,
    )  # fmt: skip
    with pytest.raises(LitGenreError, match="train/loss is not finite in another process in epoch 1"):
        monitor.check(trainer)


def test_a_run_that_diverges_later_keeps_what_it_has_saved(run: Run, fma: Path) -> None:
    words = (*SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=2")
    run("fit", *words, "--trainer.max_epochs=1", "--trainer.default_root_dir=short")
    with pytest.raises(SystemExit, match="train/loss is nan in epoch 2 at batch 3"):
        run("fit", *words, "--trainer.max_epochs=3", "--trainer.default_root_dir=run",
            "--model.loss=tests.model.checks.test_finite.Diverges")  # fmt: skip
    for name in ("best.ckpt", "last.ckpt"):
        assert_same_weights(Path("run/checkpoints", name), Path("short/checkpoints", name))
    assert len(metrics(Path("run"))) == 1
    load_model(Path("run/checkpoints/last.ckpt"))


def test_a_learning_rate_far_too_high_ends_with_an_error_and_no_checkpoint(run: Run, fma: Path) -> None:
    with pytest.raises(SystemExit, match="Lower the learning rate") as stopped:
        run("fit", *SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=2", "--trainer.max_epochs=2",
            "--model.optimizer.lr=1e30", "--trainer.default_root_dir=run")  # fmt: skip
    assert "loss is nan in epoch 1" in str(stopped.value)
    assert not list(Path("run").glob("checkpoints/*"))
    assert not Path("run/metrics.csv").exists()
    assert not Path("run/summary.json").exists()


def test_a_model_of_finite_weights_and_nan_probabilities_answers_nothing(tmp_path: Path) -> None:
    model = small().eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.fill_(3e38)
        model.head.weight[:, 1::2] *= -1
    assert model(batch().waveform).softmax(-1).isnan().any()
    with pytest.raises(LitGenreError, match="The model's probabilities are not finite numbers"):
        model.predict_with_embedding(batch().waveform)
