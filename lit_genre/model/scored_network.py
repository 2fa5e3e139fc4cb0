"""Compute the loss of a batch, and the scores of the tracks of a split."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from lit_genre.batch import Batch
from lit_genre.model.checks.finite import LossMonitor
from lit_genre.model.metrics import PRIMARY_METRIC, TrackAverage, TrackScores, score
from lit_genre.model.network import Network
from lit_genre.model.training.losses import Loss

EvaluationSplit = Literal["val", "test", "predict"]


class ScoredNetwork(Network):
    """A network with a loss and with scores per track: the steps of Lightning's loops.

    The probabilities of the clips that cover a track are averaged. At the end of a validation, a test or a prediction,
    each `TrackScoresCallback` of the trainer gets the averages.

    Attributes:
        classes: Class names in the order of the labels.
        validated_epoch: Number of the last epoch that was validated, from 0 on; -1 if none was.
    """

    loss: Loss
    classes: list[str]

    def _build_scores(self, loss: Loss, loss_weights: Tensor | None, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.loss = loss
        # Not in the state of the model, as it follows from the arguments.
        self.register_buffer("loss_weights", loss_weights, persistent=False)
        self.averages = nn.ModuleDict({split: TrackAverage() for split in ("val", "test", "predict")})
        self._losses = {split: LossMonitor(split) for split in ("train", "val", "test")}
        self.validated_epoch = -1

    @property
    def primary_metric(self) -> str:
        """Name, without the split, of the metric that selects an epoch: `accuracy` or `average_precision_macro`."""
        return PRIMARY_METRIC[self.task]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self._step(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probabilities of the clips, shape (b, c), float32."""
        probs = self.probabilities(self._logits(self._mel(batch)))
        self._average("predict").update(batch.track_id, probs, batch.label)
        return probs

    def clip_scores(self, split: EvaluationSplit) -> TrackScores:
        """Return the scores of the clips of a split so far, of all processes; a track has a row for each clip."""
        average = self._average(split)
        with average.sync_context():
            return average.clips()

    def _average(self, split: str) -> TrackAverage:
        average = self.averages[split]
        assert isinstance(average, TrackAverage)
        return average

    def _step(self, batch: Batch, split: Literal["train", "val", "test"]) -> Tensor:
        mel = self._mel(batch)
        target = (batch.label if self.task == "multilabel" else F.one_hot(batch.label, len(self.classes))).to(mel.dtype)
        # Each augmentation returns its input unchanged in evaluation mode.
        for augment in self.augment:
            mel, target = augment(mel, target)
        logits = self._logits(mel)
        # In float32: `_logits` converts, as a sum over 16-bit numbers would lose digits.
        loss: Tensor = self.loss(logits, target, self.loss_weights)
        self._losses[split].add(loss)
        scores = {f"{split}/loss": loss}
        if self.task == "multiclass":
            # The label of a mixed clip is the genre with the largest share.
            accuracy = (logits.argmax(-1) == target.argmax(-1)).float().mean()
            scores[f"{split}/accuracy" + ("" if split == "train" else "_clip")] = accuracy
        self.log_dict(scores, on_step=False, on_epoch=True, batch_size=len(batch.label), sync_dist=True)
        if split != "train":
            self._average(split).update(batch.track_id, self.probabilities(logits.detach()), batch.label)
        return loss

    def on_train_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["train"].start()

    def on_validation_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["val"].start()

    def on_test_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["test"].start()

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Check the losses at intervals, and after the last batch, before the validation."""
        if self._losses["train"].is_due or self.trainer.is_last_batch:
            self._losses["train"].check(self.trainer)

    def on_train_epoch_end(self) -> None:
        """Check the losses before the checkpoint of the epoch is written."""
        self._losses["train"].check(self.trainer)

    def on_validation_epoch_end(self) -> None:
        """Check the losses, and log the scores of the tracks."""
        if not self.trainer.sanity_checking:
            self.validated_epoch = self.current_epoch
        self._losses["val"].check(self.trainer)
        self._score_tracks("val")

    def on_test_epoch_end(self) -> None:
        """Check the losses, and log the scores of the tracks."""
        self._losses["test"].check(self.trainer)
        self._score_tracks("test")

    def on_predict_epoch_end(self) -> None:
        """Average the probabilities over tracks; without a track if no file could be read."""
        if self._average("predict").update_called:
            self._score_tracks("predict")

    def _score_tracks(self, split: EvaluationSplit) -> None:
        average = self._average(split)
        scores = average.scores()
        average.reset()
        if split != "predict":
            metrics = score(scores, self.classes)
            # The F1 of a genre without a track is NaN.
            finite = {f"{split}/{name}": value for name, value in metrics.items() if value.isfinite()}
            # Every process has the scores of all tracks, so that there is nothing to average between them.
            self.log_dict(finite, sync_dist=False, rank_zero_only=False)
        # The check before training reads two batches only, so that its scores mean nothing.
        if not self.trainer.sanity_checking:
            for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, TrackScoresCallback):
                    callback.on_track_scores(self.trainer, self, split, scores)


class TrackScoresCallback(Callback):
    """A callback that gets the scores of the tracks at the end of a validation, a test or a prediction."""

    @abstractmethod
    def on_track_scores(
        self, trainer: Trainer, pl_module: ScoredNetwork, split: EvaluationSplit, scores: TrackScores
    ) -> None:
        """Use the scores of the tracks; every process calls this, before Lightning's `on_<split>_end`.

        Args:
            trainer: The trainer.
            pl_module: The model.
            split: The split; "predict" in a prediction.
            scores: Probabilities and labels of all tracks, on the CPU.
        """
