"""The LightningModule that trains and scores any backbone."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import nn

from lit_genre.batch import Batch, Task
from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.checks.batch_norm import note_on_batch_norm
from lit_genre.model.checks.data_check import check_data, check_same_classes
from lit_genre.model.checks.finite import check_weights_to_save
from lit_genre.model.factories import build_loss, check_classes
from lit_genre.model.layer_pooling import Layers, Pool
from lit_genre.model.scored_network import ScoredNetwork
from lit_genre.model.spectrogram.augment import Augmentation
from lit_genre.model.spectrogram.frontend import LogMel
from lit_genre.model.temperature import check_temperature
from lit_genre.model.training.finetuning import rate_factors
from lit_genre.model.training.losses import Loss, class_weights_of
from lit_genre.model.training.optimization import (
    Interval,
    build_optimization,
    check_cycle,
    set_cycle_length,
    step_plateau_schedulers,
)
from lit_genre.model.training.step_seed import seed_step

# A partial: jsonargparse 4.53 loses the name of a plain class when a default configuration file sets options of it.
PAPERS_ADAM: Final = partial(torch.optim.Adam, weight_decay=2e-3)

_TRAINING_ARGUMENTS: Final = [
    *("augment", "label_smoothing", "loss", "optimizer", "scheduler", "scheduler_interval", "compile_backbone"),
    *("backbone_lr", "layer_lr_decay"),
]
"""Arguments of the training alone, which a checkpoint does not store: its configuration does."""


class GenreClassifier(ScoredNetwork):
    """A front-end, a backbone and a linear head, trained by cross-entropy of a softmax, or of a sigmoid for each genre.

    A run stops with an error, before the epoch's checkpoint is written, if a loss or a probability of a validation
    track is not finite. The front-end computes in float32 whatever the precision of the training.

    Scores are per track: the probabilities of the clips that cover a track are averaged. Weight decay applies to the
    weights of the backbone and the head, not to biases, normalisation and the front-end. In torch.optim.Adam it is L2
    regularisation; Keras's l2(0.001) corresponds to weight_decay 0.002.

    Args:
        backbone: Class of the network, called with the shape of one item.
        classes: Class names in the order of the labels. From the command line they come from the data, and a value
            given here is overwritten.
        task: "multiclass" for one genre a track, by softmax; "multilabel" for several, each by a sigmoid. From the
            command line it follows the data, and a value given here is overwritten.
        class_weights: Weight the loss so that every genre has the same total weight. In the multilabel task the
            presence of a genre is weighted, not its absence, by the number of tracks of the most frequent genre
            divided by its own, at most 100.
        label_smoothing: Part of each target, 0 to 1, that is distributed equally over all genres in training, against
            overconfident probabilities (Szegedy et al., 2016). For the multiclass task.
        class_counts: Number of training tracks of each class. From the command line they come from the data.
        sample_rate: Sample rate of the waveforms, Hz; the data follows it.
        clip_seconds: Length of the training clips, s; the data follows it. null for FMA's whole 30 s.
        frontend: Class of the front-end, called with the sample rate; torch.nn.Identity for a backbone on waveforms.
        augment: Augmentations of training batches, in this order.
        mean_normalized_channels: Add a spectrally mean-normalised copy of each spectrogram as further input channels:
            each mel band without its mean over the clip, so that the backbone has twice as many bands. Not for
            waveforms, nor for weights that were trained on spectrograms alone.
        layers: Numbers of the layers of the backbone whose states are pooled over time, or "all"; 0 is the input of
            the first layer. Several are averaged with learned weights. null for the backbone's own embedding. For
            backbones with `layer_blocks`, such as pretrained encoders.
        pool: "mean" of the states over time, "mean+std" for mean and standard deviation, or "attention" for an average
            of some dozens of segments of the clip with learned weights, of a single layer.
        finetune: What of the backbone is trained: "head" for nothing of it, "full" for all, "last:2" for its last two
            layers, "lora" or "lora:16" for matrices of low rank (here 16; by default 8) that are added to all layers,
            which needs the package peft. null for what the backbone's own arguments say.
        backbone_lr: Learning rate of the backbone as a multiple of the head's, above 0; 0.1 is common for a pretrained
            backbone.
        layer_lr_decay: Factor of the learning rate from each layer of the backbone to the one before, above 0 to 1;
            0.75 is common for a pretrained transformer.
        head_dim: Size of a hidden layer of the head; null for a linear head.
        loss: Class of the loss, called with the task and label_smoothing; null for lit_genre.CrossEntropy in the
            multiclass task and lit_genre.BinaryCrossEntropy in the multilabel task. lit_genre.FocalLoss is for both.
        optimizer: Class of the optimiser, called with the groups of parameters; by default Adam with L2 of
            0.001, as in Yaacob and Goldrich (2020).
        scheduler: Class of the learning-rate scheduler, called with the optimiser. For
            lightning.pytorch.cli.ReduceLROnPlateau, `monitor` is the metric that it watches.
        scheduler_interval: "step" to step the scheduler with each batch, "epoch" once an epoch; null for step with
            lit_genre.OneCycle and torch's OneCycleLR and CyclicLR, and for epoch with all others.
        compile_backbone: Compile the backbone by torch.compile, which takes a minute at the start.
        temperature: Divisor of the logits, above 0, from which probabilities are computed; the loss does not use it.
            `lit-genre test --calibrate` fits it on the validation split (Guo et al., 2017).

    Shape:
        - waveform: (b, n), int16 PCM or floating point of full scale 1, any n
        - Output: logits, (b, c)

    Raises:
        LitGenreError: clip_seconds, sample_rate, label_smoothing or temperature is out of range; there is one class
            only; backbone or frontend is not a class; the backbone cannot be built, or fails on the output of the
            front-end; or the loss is not for the task or has weights of its own.
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
        layers: Layers | None = None,
        pool: Pool = "mean",
        finetune: str | None = None,
        backbone_lr: float = 1.0,
        layer_lr_decay: float = 1.0,
        head_dim: int | None = None,
        loss: Callable[[Task, float], Loss] | None = None,
        optimizer: OptimizerCallable = PAPERS_ADAM,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Interval | None = None,
        compile_backbone: bool = False,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise LitGenreError(f"label_smoothing is {label_smoothing}, but must be at least 0 and below 1.")
        check_classes(classes, task)
        self.temperature = check_temperature(temperature)
        self.save_hyperparameters(ignore=_TRAINING_ARGUMENTS)
        self._build_network(
            backbone,
            frontend,
            augment,
            task,
            sample_rate,
            clip_seconds,
            mean_normalized_channels,
            layers,
            pool,
            finetune,
        )
        self.rate_factors = rate_factors(self.backbone, backbone_lr, layer_lr_decay)
        if compile_backbone:
            self.backbone.compile()
        self.optimizer, self.scheduler, self.scheduler_interval = optimizer, scheduler, scheduler_interval
        self.seed = torch.initial_seed()

        weights = class_weights_of(class_counts, task) if class_weights else None
        self._build_scores(build_loss(loss, task, label_smoothing), weights, classes)

    @classmethod
    def for_data(cls, data: Any, backbone: Callable[[InputShape], Backbone], **arguments: Any) -> "GenreClassifier":
        """Build a model for a data module, with its classes, task, class counts, sample rate and clip length.

        Args:
            data: A data module of lit-genre, such as FMADataModule.
            backbone: Class of the network, or `functools.partial(Class, option=value)`.
            **arguments: Further arguments of the class.

        Returns:
            The model, untrained, on the CPU.
        """
        data_arguments = {
            "classes": data.classes,
            "task": data.task,
            "class_counts": data.class_counts,
            "sample_rate": data.sample_rate,
            "clip_seconds": data.clip_samples / data.sample_rate,
        }
        return cls(backbone, **data_arguments | arguments)

    def setup(self, stage: str) -> None:
        """Refuse data that the model was not built for."""
        check_data(self, getattr(self.trainer, "datamodule", None))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser, with weight decay on weights of backbone and head only, and the scheduler."""
        parts = (self.backbone, self.head)
        return build_optimization(
            self, parts, self.optimizer, self.scheduler, self.scheduler_interval, self.rate_factors
        )

    def on_fit_start(self) -> None:
        """Print a line where batch normalisation depends on the number of processes."""
        if self.trainer.is_global_zero and (note := note_on_batch_norm(self, self.trainer)):
            console.print(note)

    def on_train_start(self) -> None:
        """Set the length of one cycle.

        Not earlier: asking for the number of batches builds the data loader, which must know where a resumed run
        continues.
        """
        set_cycle_length(self.trainer, self.print)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the random numbers of this step from (seed, epoch, rank, step), so that a resumed run draws the same."""
        seed_step(self.seed, self.current_epoch, self.global_rank, batch_idx, self.device)

    def on_train_epoch_end(self) -> None:
        """Check the losses, and step a scheduler that watches a score, before the epoch's checkpoint is written.

        Lightning 2.6 steps it after the checkpoint, so that a resumed run would have one step less.
        """
        super().on_train_epoch_end()
        step_plateau_schedulers(self.trainer, is_validated=self.validated_epoch == self.current_epoch)

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: Any) -> None:
        """Step any other scheduler."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the seed and the class.

        Raises:
            LitGenreError: The weights are not finite.
        """
        check_weights_to_save(checkpoint.get("state_dict", {}))
        checkpoint["seed"] = self.seed
        # A subclass is restored as that subclass.
        checkpoint["model_class"] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the hyperparameters and, in a resumed run, the seed.

        Raises:
            LitGenreError: The classes differ, or the run cannot be prolonged.
        """
        check_same_classes(checkpoint["hyper_parameters"]["classes"], self.classes)
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            check_cycle(checkpoint, self._trainer.max_epochs, self._trainer.max_steps)
        self.hparams.update(checkpoint["hyper_parameters"])
        if self._trainer is not None:
            self.seed = checkpoint["seed"]
