"""GenreClassifier: the one LightningModule, which trains and scores any backbone."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import Tensor, nn

from lit_genre.batch import Batch, Task
from lit_genre.errors import LitGenreError
from lit_genre.model.augment import Augmentation
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.batch_norm import note_on_batch_norm
from lit_genre.model.data_check import check_data
from lit_genre.model.factories import build_loss, check_classes
from lit_genre.model.finite import LossMonitor, check_weights_to_save
from lit_genre.model.frontend import LogMel
from lit_genre.model.losses import Loss, class_weights_of
from lit_genre.model.metrics import PRIMARY_METRIC, TrackAverage, TrackScores, score
from lit_genre.model.network import Network
from lit_genre.model.optimization import (
    Interval,
    build_optimization,
    check_cycle,
    set_cycle_length,
    step_plateau_schedulers,
)
from lit_genre.model.step_seed import seed_step

# A class alone would lose its name in jsonargparse 4.53 where a default configuration file sets options of it.
PAPERS_ADAM: Final = partial(torch.optim.Adam, weight_decay=2e-3)

_RECIPE: Final = [
    *("augment", "label_smoothing", "loss", "optimizer", "scheduler", "scheduler_interval", "compile_backbone"),
]
"""Arguments of the training alone, which a checkpoint does not store."""


class GenreClassifier(Network):
    """A front-end, a backbone and a linear head, trained by cross-entropy of a softmax, or of a sigmoid for each genre.

    A run whose loss, or whose probabilities of the validation tracks, are not finite stops with an error before the
    checkpoint of that epoch is written. The front-end computes in float32 whatever the precision of the training is.

    Scores are per track: the probabilities of the clips that cover a track are averaged. Weight decay of the
    optimiser applies to weights of the backbone and the head, not to biases, normalisation and the front-end; in
    torch.optim.Adam it is L2 regularisation, and Keras's l2(0.001) is weight_decay 0.002.

    Args:
        backbone: Class of the network, called with the shape of one item.
        classes: Class names in the order of the labels. From the command line they come from the data, and a value
            given here is overwritten.
        task: "multiclass" for one genre a track, by softmax; "multilabel" for several, each by a sigmoid. From the
            command line it follows the data, and a value given here is overwritten.
        class_weights: Weigh the loss so that each genre counts alike, however many tracks have it. Where a track has
            several, the presence of a genre is weighed, not its absence, by the ratio of the most frequent genre's
            tracks to its own, but by 100 at most.
        label_smoothing: Part of each target, 0 to 1, that is shared out to all genres alike in training, against
            probabilities that promise too much. For one genre a track.
        class_counts: Training tracks of each class. From the command line they come from the data, and a value given
            here is overwritten.
        sample_rate: Sample rate of the waveforms, Hz; the data follows it.
        clip_seconds: Length of the training clips, s; the data follows it. null for FMA's whole 30 s.
        frontend: Class of the front-end, called with the sample rate; torch.nn.Identity for a backbone on waveforms.
        augment: Augmentations of training batches, in this order.
        mean_normalized_channels: Add a spectrally mean-normalised copy of each spectrogram as further input channels:
            each mel band without its mean over the clip, so that the backbone has twice as many bands. Not for
            waveforms, nor for weights that were trained on spectrograms alone.
        head_dim: Size of a hidden layer of the head; null for a linear head.
        loss: Class of the loss, called with the task and label_smoothing; null for lit_genre.CrossEntropy with one
            genre a track and lit_genre.BinaryCrossEntropy with several. lit_genre.FocalLoss serves both.
        optimizer: Called with the groups of parameters; by default Adam with L2 of 0.001, as in Yaacob and
            Goldrich (2020).
        scheduler: Called with the optimiser. lightning.pytorch.cli.ReduceLROnPlateau names the metric it watches in
            `monitor`.
        scheduler_interval: "step" to step the scheduler with each batch, "epoch" once an epoch; null for step with
            lit_genre.OneCycle and torch's OneCycleLR and CyclicLR, and for epoch with all others.
        compile_backbone: Let torch.compile translate the backbone, which takes a minute at the start.

    Shape:
        - waveform: (b, n), int16 PCM or floating point of full scale 1, any n
        - Output: logits, (b, c)

    Raises:
        LitGenreError: clip_seconds, sample_rate or label_smoothing is out of range, there is one class only, backbone
            or frontend is no class, the backbone cannot be built or does not take what the front-end gives, or the
            loss does not fit the task or has weights of its own.
    """

    def __init__(
        self,
        backbone: Callable[[InputShape], Backbone],
        classes: list[str],
        task: Task = "multiclass",
        class_weights: bool = False,
        class_counts: list[int] | None = None,
        label_smoothing: float = 0.0,
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        frontend: Callable[[int], nn.Module] = LogMel,
        augment: Sequence[Augmentation] = (),
        mean_normalized_channels: bool = False,
        head_dim: int | None = None,
        loss: Callable[[Task, float], Loss] | None = None,
        optimizer: OptimizerCallable = PAPERS_ADAM,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Interval | None = None,
        compile_backbone: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise LitGenreError(f"label_smoothing is {label_smoothing}, but must be at least 0 and below 1.")
        check_classes(classes, task)
        self.save_hyperparameters(ignore=_RECIPE)
        self._build_network(
            backbone,
            frontend,
            augment,
            task,
            sample_rate,
            clip_seconds,
            mean_normalized_channels,
            head_dim,
            len(classes),
        )
        if compile_backbone:
            self.backbone.compile()
        self.classes = list(classes)
        self.optimizer, self.scheduler, self.scheduler_interval = optimizer, scheduler, scheduler_interval
        self.seed = torch.initial_seed()
        self._validated = -1

        self.loss = build_loss(loss, task, label_smoothing)
        weights = class_weights_of(class_counts, task) if class_weights else None
        # It follows from the arguments.
        self.register_buffer("loss_weights", weights, persistent=False)
        self.averages = nn.ModuleDict({split: TrackAverage() for split in ("val", "test", "predict")})
        self._losses = {split: LossMonitor(split) for split in ("train", "val", "test")}
        self.track_scores: TrackScores | None = None

    @classmethod
    def for_data(cls, data: Any, backbone: Callable[[InputShape], Backbone], **arguments: Any) -> "GenreClassifier":
        """Build a model for a data module: with its classes, task, class counts, sample rate and length of a clip.

        Args:
            data: A data module of lit-genre, such as FMADataModule.
            backbone: Class of the network, or `functools.partial(Class, option=value)`.
            **arguments: Further arguments of the class.
        """
        of_data = {
            "classes": data.classes,
            "task": data.task,
            "class_counts": data.class_counts,
            "sample_rate": data.sample_rate,
            "clip_seconds": data.clip_samples / data.sample_rate,
        }
        return cls(backbone, **of_data | arguments)

    def setup(self, stage: str) -> None:
        """Refuse data that the model was not built for."""
        check_data(self, getattr(self.trainer, "datamodule", None))

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",
        weights_only: bool = True,
        trust: bool = False,
    ) -> "GenreClassifier":
        """Build a trained model as `lit_genre.load_model` does; Lightning's own would import what the file names.

        Args:
            checkpoint_path: The file.
            map_location: Device of the model.
            weights_only: Read data alone; nothing else is possible.
            trust: Import any class that the file names.

        Raises:
            LitGenreError: As `lit_genre.load_model`, or weights_only is false.
        """
        if not weights_only:
            raise LitGenreError("weights_only is false, but a checkpoint of lit-genre is read as data alone.")
        # It imports this module.
        from lit_genre.inference.load import build_trained

        return build_trained(checkpoint_path, trust).to(map_location)

    @property
    def primary_metric(self) -> str:
        """Name of the metric that a model is chosen by, without its split: `accuracy`, or `average_precision_macro`."""
        return PRIMARY_METRIC[self.task]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the probabilities of the clips, shape (b, c)."""
        probs = self.probabilities(self._logits(self._mel(batch)))
        self._average("predict").update(batch.track_id, probs, batch.label)
        return probs

    def _average(self, split: str) -> TrackAverage:
        average = self.averages[split]
        assert isinstance(average, TrackAverage)
        return average

    def _step(self, batch: Batch, split: Literal["train", "val", "test"]) -> Tensor:
        mel = self._mel(batch)
        target = (batch.label if self.task == "multilabel" else F.one_hot(batch.label, len(self.classes))).to(mel.dtype)
        for augment in self.augment:
            mel, target = augment(mel, target)
        logits = self._logits(mel)
        loss: Tensor = self.loss(logits, target, self.loss_weights)
        self._losses[split].add(loss)
        scores = {f"{split}/loss": loss}
        if self.task == "multiclass":
            # What a mixed clip has most of counts.
            accuracy = (logits.argmax(-1) == target.argmax(-1)).float().mean()
            scores[f"{split}/accuracy" + ("" if split == "train" else "_clip")] = accuracy
        self.log_dict(scores, on_step=False, on_epoch=True, batch_size=len(batch.label), sync_dist=True)
        if split != "train":
            self._average(split).update(batch.track_id, self.probabilities(logits.detach()), batch.label)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["val"].start()

    def on_test_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["test"].start()

    def on_validation_epoch_end(self) -> None:
        """Log the scores over tracks."""
        if not self.trainer.sanity_checking:
            self._validated = self.current_epoch
        self._score_tracks("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores over tracks."""
        self._score_tracks("test")

    def on_predict_epoch_end(self) -> None:
        """Average over tracks, for the callbacks that write them down."""
        self._score_tracks("predict")

    def _score_tracks(self, split: Literal["val", "test", "predict"]) -> None:
        if split != "predict":
            self._losses[split].check(self.trainer)
        average = self._average(split)
        if split == "predict" and not average.update_called:
            self.track_scores = None  # None of the files could be read.
            return
        self.track_scores = average.scores()
        average.reset()
        if split != "predict":
            rated = score(self.track_scores, self.classes)
            # The F1 of a genre without a track is NaN.
            scores = {f"{split}/{name}": value for name, value in rated.items() if value.isfinite()}
            self.log_dict(scores, sync_dist=False, rank_zero_only=False)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser, without weight decay where it would do harm, and the scheduler."""
        parts = (self.backbone, self.head)
        return build_optimization(self, parts, self.optimizer, self.scheduler, self.scheduler_interval)

    def on_fit_start(self) -> None:
        """Print a line where batch normalisation depends on the number of processes."""
        if note := note_on_batch_norm(self, self.trainer):
            self.print(note)

    def on_train_start(self) -> None:
        """Set the length of one cycle: no sooner, for to ask loads the data, which must know where it goes on."""
        set_cycle_length(self.trainer, self.print)

    def on_train_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["train"].start()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Start the step's random numbers from (seed, epoch, rank, step), so that a resumed run draws the same."""
        seed_step(self.seed, self.current_epoch, self.global_rank, batch_idx, self.device)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Check the losses of the epoch behind its last batch, before the validation, and now and then before."""
        if self._losses["train"].is_due or self.trainer.is_last_batch:
            self._losses["train"].check(self.trainer)

    def on_train_epoch_end(self) -> None:
        """Check the losses, and step a scheduler that watches a score, before the epoch's checkpoint is written.

        Lightning 2.6 does so after it, and a resumed run would have one such step less.
        """
        self._losses["train"].check(self.trainer)
        step_plateau_schedulers(self.trainer, is_validated=self._validated == self.current_epoch)

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: Any) -> None:
        """Step any other scheduler."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the seed.

        Raises:
            LitGenreError: The weights are not finite.
        """
        check_weights_to_save(checkpoint.get("state_dict", {}))
        checkpoint["seed"] = self.seed
        # A subclass is restored as what it is.
        checkpoint["model_class"] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the hyperparameters as plain data, and in a resumed run the seed.

        Raises:
            LitGenreError: The labels of the checkpoint mean other genres, or a resumed run cannot be prolonged.
        """
        trained = checkpoint["hyper_parameters"]["classes"]
        if trained != self.classes:
            raise LitGenreError(
                f"The checkpoint knows the genres {', '.join(trained)}, but the data has {', '.join(self.classes)}: "
                "name the data that it was trained on."
            )
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            check_cycle(checkpoint, self._trainer.max_epochs, self._trainer.max_steps)
        self.hparams.update(checkpoint["hyper_parameters"])
        if self._trainer is not None:
            self.seed = checkpoint["seed"]
