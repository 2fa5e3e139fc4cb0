"""GenreClassifier: the one LightningModule, which trains and scores any backbone."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pydoc import locate
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import Tensor, nn

from lit_genre.batch import Batch, Task, clip_samples
from lit_genre.errors import LitGenreError
from lit_genre.model.augment import Augmentation
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.batch_norm import note_on_batch_norm
from lit_genre.model.data_check import check_data
from lit_genre.model.finite import LossMonitor, check_finite, check_weights_to_save
from lit_genre.model.frontend import LogMel
from lit_genre.model.losses import DEFAULT_LOSS, Loss, class_weights_of
from lit_genre.model.mean_normalization import Changes
from lit_genre.model.metrics import HEADLINE, TrackAverage, TrackScores, score
from lit_genre.model.optimization import Interval, OneCycle, check_cycle, interval_of
from lit_genre.model.precision import keeping_dtype
from lit_genre.model.source_code import source_digest

# A class alone would lose its name in jsonargparse 4.53 where a default configuration file sets options of it.
PAPERS_ADAM: Final = partial(torch.optim.Adam, weight_decay=2e-3)

_GIVEN_BY: Final = {"mel": "lit_genre.LogMel", "waveform": "torch.nn.Identity"}

_RECIPE: Final = [
    *("augment", "label_smoothing", "loss", "optimizer", "scheduler", "scheduler_interval", "compile_backbone"),
]
"""Arguments of the training alone, which a checkpoint does not store."""


class GenreClassifier(LightningModule):
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
        task: "single" for one genre a track, by softmax; "multi" for several, each by a sigmoid. From the command line
            it follows the data, and a value given here is overwritten.
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
        changes: Let the backbone see each spectrogram twice, as twice as many mel bands: as it is, and each band
            without its mean over the clip. Not for waveforms, nor for weights that were trained on spectrograms alone.
        head_dim: Size of a hidden layer of the head; null for a linear head.
        loss: Class of the loss, called with the task and label_smoothing; null for lit_genre.CrossEntropy with one
            genre a track and lit_genre.BinaryCrossEntropy with several. lit_genre.FocalLoss serves both.
        optimizer: Called with the groups of parameters; by default the paper's Adam with L2 of 0.001.
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
        task: Task = "single",
        class_weights: bool = False,
        class_counts: list[int] | None = None,
        label_smoothing: float = 0.0,
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        frontend: Callable[[int], nn.Module] = LogMel,
        augment: Sequence[Augmentation] = (),
        changes: bool = False,
        head_dim: int | None = None,
        loss: Callable[[Task, float], Loss] | None = None,
        optimizer: OptimizerCallable = PAPERS_ADAM,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Interval | None = None,
        compile_backbone: bool = False,
    ) -> None:
        super().__init__()
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        if not 0 <= label_smoothing < 1:
            raise LitGenreError(f"label_smoothing is {label_smoothing}, but must be at least 0 and below 1.")
        _check_classes(classes, task)
        self.save_hyperparameters(ignore=_RECIPE)
        if "_instantiator" not in self.hparams:
            # Not from the command line, whose configuration is plain already.
            self.hparams.update(
                backbone=_plain(backbone),
                frontend=_plain(frontend),
                _instantiator="lightning.pytorch.cli.instantiate_module",
            )
        self.classes = list(classes)
        self.task: Task = task
        self.sample_rate = sample_rate
        self.optimizer, self.scheduler, self.scheduler_interval = optimizer, scheduler, scheduler_interval
        self.seed = torch.initial_seed()
        self._validated = -1

        self.frontend = frontend(sample_rate)
        with torch.no_grad():
            self.input_shape = tuple(self.frontend(torch.zeros(1, self.clip_samples)).shape[1:])
        self.augment = nn.ModuleList(augment)
        self.views = Changes() if changes and len(self.input_shape) == 2 else nn.Identity()
        self.backbone = self._build_backbone(backbone, tuple(self.views(torch.zeros(1, *self.input_shape)).shape[1:]))
        if compile_backbone:
            self.backbone.compile()
        self.head = _head(self.backbone.embedding_dim, head_dim, len(classes))

        self.loss = _build_loss(loss, task, label_smoothing)
        weights = class_weights_of(class_counts, task) if class_weights else None
        self.loss_weights: Tensor | None
        # It follows from the arguments.
        self.register_buffer("loss_weights", weights, persistent=False)
        self.averages = nn.ModuleDict({split: TrackAverage() for split in ("val", "test", "predict")})
        self._losses = {split: LossMonitor(split) for split in ("train", "val", "test")}
        self.track_scores: TrackScores | None = None

    def _build_backbone(self, factory: Callable[[InputShape], Backbone], input_shape: InputShape) -> Backbone:
        described = self.hparams["backbone"]
        name = described["class_path"].rpartition(".")[2]
        # Before it is built, too: of a wrong shape it may be huge, or fail with words that lead astray.
        _check_takes(name, locate(described["class_path"]), input_shape)
        try:
            backbone = factory(input_shape)
            backbone.embedding_dim  # noqa: B018, for whoever forgot it hears of it here
        except LitGenreError:
            raise
        except Exception as error:  # A class of anyone's, given anything.
            raise LitGenreError(
                f"The backbone {name} cannot be built for items of shape {input_shape}: {type(error).__name__}: {error}"
            ) from error
        _check_takes(name, backbone, input_shape)
        if backbone.sample_rate not in (None, self.sample_rate):
            raise LitGenreError(
                f"The backbone {name} was made for {backbone.sample_rate} Hz, but sample_rate is {self.sample_rate}: "
                f"set --model.sample_rate={backbone.sample_rate}."
            )
        init_args = {**described.get("init_args", {}), **backbone.restore_args()}
        self.hparams["backbone"] = {**described, "init_args": init_args}
        return backbone

    def forward(self, waveform: Tensor) -> Tensor:
        """Map waveforms, shape (b, n), to logits, shape (b, c)."""
        return self._logits(self.spectrogram(waveform))

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Map waveforms, shape (b, n), to what the front-end makes of them, shape (b, m, f)."""
        mel: Tensor = self.frontend(_to_float(waveform))
        return mel

    def spectrogram_identity(self) -> tuple[str, tuple[int, ...]]:
        """Say what determines a clip's spectrogram beside its samples, and the shape of one, for who keeps them.

        Raises:
            LitGenreError: The front-end is trained, or gives no spectrogram.
        """
        name = type(self.frontend).__name__
        if any(parameter.requires_grad for parameter in self.frontend.parameters()):
            raise LitGenreError(f"cache_mel keeps what a fixed front-end computes, but this {name} is trained.")
        if len(self.input_shape) != 2:
            raise LitGenreError(f"cache_mel keeps spectrograms, but {name} gives items of shape {self.input_shape}.")
        determining = [self.hparams["frontend"], self.sample_rate, source_digest(self.frontend)]
        return json.dumps(determining, default=str), self.input_shape

    def answer(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Map waveforms, shape (b, n), to probabilities, shape (b, c), and to the backbone's embeddings, (b, d).

        Raises:
            LitGenreError: A probability is not finite.
        """
        embedding = self._embed(self.spectrogram(waveform))
        probs = self.probabilities(self.head(embedding).float())
        check_finite(probs, "The model's probabilities")
        return probs, embedding

    def probabilities(self, logits: Tensor) -> Tensor:
        """Map logits to probabilities, shapes (b, c), which add up to 1 where a track has one genre only."""
        return logits.sigmoid() if self.task == "multi" else logits.softmax(-1)

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
    def headline(self) -> str:
        """Name of the metric that a model is chosen by, without its split: `accuracy`, or `average_precision_macro`."""
        return HEADLINE[self.task]

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
        target = (batch.label if self.task == "multi" else F.one_hot(batch.label, len(self.classes))).to(mel.dtype)
        for augment in self.augment:
            mel, target = augment(mel, target)
        logits = self._logits(mel)
        loss: Tensor = self.loss(logits, target, self.loss_weights)
        self._losses[split].add(loss)
        scores = {f"{split}/loss": loss}
        if self.task == "single":
            # What a mixed clip has most of counts.
            accuracy = (logits.argmax(-1) == target.argmax(-1)).float().mean()
            scores[f"{split}/accuracy" + ("" if split == "train" else "_clip")] = accuracy
        self.log_dict(scores, on_step=False, on_epoch=True, batch_size=len(batch.label), sync_dist=True)
        if split != "train":
            self._average(split).update(batch.track_id, self.probabilities(logits.detach()), batch.label)
        return loss

    def _mel(self, batch: Batch) -> Tensor:
        return self.spectrogram(batch.waveform) if batch.mel is None else batch.mel.float()

    def _logits(self, mel: Tensor) -> Tensor:
        logits: Tensor = self.head(self._embed(mel))
        return logits.float()

    def _embed(self, mel: Tensor) -> Tensor:
        # The front-end stays in float32 where the network is in another precision.
        embedding: Tensor = self.backbone(self.views(mel).to(next(self.head.parameters()).dtype))
        return embedding

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "GenreClassifier":
        """Move and convert all parts, but leave the front-end and the class weights in float32."""
        frontend, weights, convert = self.frontend, self.loss_weights, keeping_dtype(fn)
        # A stand-in, so that the order of the parts stays the same.
        self.frontend = nn.Identity()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frontend = frontend._apply(convert, recurse)  # type: ignore[no-untyped-call]
        self.loss_weights = None if weights is None else convert(weights)
        return self

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
        decayed = [p for part in (self.backbone, self.head) for p in part.parameters() if p.ndim > 1]
        chosen = {id(p) for p in decayed}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        optimizer = self.optimizer([{"params": decayed}, {"params": rest, "weight_decay": 0.0}])
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer)
        monitor = scheduler.monitor if isinstance(scheduler, ReduceLROnPlateau) else None
        interval = interval_of(scheduler, self.scheduler_interval)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": interval, "monitor": monitor, "strict": False},
        }

    def on_fit_start(self) -> None:
        """Print a line where batch normalisation depends on the number of processes."""
        if note := note_on_batch_norm(self, self.trainer):
            self.print(note)

    def on_train_start(self) -> None:
        """Set the length of one cycle: no sooner, for to ask loads the data, which must know where it goes on."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, OneCycle):
                change = config.scheduler.set_total_steps(self.trainer.estimated_stepping_batches)
                if change is not None:
                    self.print(change)

    def on_train_epoch_start(self) -> None:
        """Begin to collect losses."""
        self._losses["train"].start()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Start the step's random numbers from (seed, epoch, rank, step), so that a resumed run draws the same."""
        place = (self.seed, self.current_epoch, self.global_rank, batch_idx)
        seed = int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0])
        # torch.manual_seed does the same, and formats a stack trace for each device that is not there.
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Check the losses of the epoch behind its last batch, before the validation, and now and then before."""
        if self._losses["train"].is_due or self.trainer.is_last_batch:
            self._losses["train"].check(self.trainer)

    def on_train_epoch_end(self) -> None:
        """Check the losses, and step a scheduler that watches a score, before the epoch's checkpoint is written.

        Lightning 2.6 does so after it, and a resumed run would have one such step less.
        """
        self._losses["train"].check(self.trainer)
        for config in self.trainer.lr_scheduler_configs:
            monitor = config.monitor or ""
            value = self.trainer.callback_metrics.get(monitor)
            # Lightning keeps the scores of an earlier epoch, which have been counted.
            stale = monitor.startswith("val/") and self._validated != self.current_epoch
            if isinstance(config.scheduler, ReduceLROnPlateau) and value is not None and not stale:
                config.scheduler.step(value)

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


def _to_float(waveform: Tensor) -> Tensor:
    """Bring integer PCM to full scale 1, float32."""
    if waveform.is_floating_point():
        return waveform.float()
    return waveform.float() / -torch.iinfo(waveform.dtype).min


def _head(embedding_dim: int, head_dim: int | None, n_classes: int) -> nn.Module:
    if head_dim is None:
        return nn.Linear(embedding_dim, n_classes)
    return nn.Sequential(nn.Linear(embedding_dim, head_dim), nn.ReLU(), nn.Linear(head_dim, n_classes))


def _check_classes(classes: Sequence[str], task: Task) -> None:
    if len(classes) < 2 and task == "single":
        raise LitGenreError(
            f"The data has one genre only, {', '.join(map(repr, classes))}: a classifier needs tracks of two or more."
        )


def _build_loss(factory: Callable[[Task, float], Loss] | None, task: Task, label_smoothing: float) -> Loss:
    loss = (factory or DEFAULT_LOSS[task])(task, label_smoothing)
    name = type(loss).__name__
    if not isinstance(loss, Loss):
        raise LitGenreError(f"{name} is no subclass of lit_genre.Loss, as model.loss must be.")
    if weights := list(loss.state_dict()):
        raise LitGenreError(
            f"The loss {name} has weights of its own, {', '.join(weights)}, which no checkpoint stores: compute it "
            "without parameters, and register its buffers with persistent=False."
        )
    return loss


def _check_takes(name: str, backbone: Any, input_shape: InputShape) -> None:
    """Refuse a backbone, or a class of one, that does not take what the front-end gives."""
    given = "mel" if len(input_shape) == 2 else "waveform"
    takes = getattr(backbone, "takes", given)
    if takes != given:
        raise LitGenreError(
            f"The backbone {name} takes a {takes}, but the front-end gives items of shape {input_shape}: "
            f"choose frontend: {_GIVEN_BY.get(takes, 'one that gives it')}."
        )


def _plain(factory: Any) -> dict[str, Any]:
    """Write a class, or a partial of one, as the plain data that the command line's configuration has for it."""
    parts = (factory.func, *factory.args) if isinstance(factory, partial) else (factory,)
    for part in parts:
        if isinstance(part, type):
            init_args = dict(factory.keywords) if isinstance(factory, partial) else {}
            return {"class_path": f"{part.__module__}.{part.__qualname__}", "init_args": init_args}
    raise LitGenreError(
        f"{factory!r} cannot be written into a checkpoint: pass a class, or functools.partial(Class, name=value)"
    )
