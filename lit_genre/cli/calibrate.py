"""Calibrate a checkpoint: fit the temperature of its probabilities on the validation split of its data."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.scored_network import ScoredNetwork
from lit_genre.model.temperature import Temperature, fit_temperature, logits_of
from lit_genre.runs.checkpoint import read_checkpoint
from lit_genre.trust.arguments import named_parameters


class _FitTemperature(Callback):
    """Fits a temperature at the end of a validation."""

    fitted: Temperature | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit the temperature to the clips of all processes; the model computes its scores afterwards."""
        assert isinstance(pl_module, ScoredNetwork)
        task, clips = pl_module.task, pl_module.clip_scores("val")
        self.fitted = fit_temperature(logits_of(clips.probs, task), clips.track_id, clips.label, task)


def calibrate(trainer: Trainer, model: LightningModule, data: LightningDataModule, checkpoint: Path) -> None:
    """Fit the temperature of a model on the validation split, set it, and store it in the checkpoint.

    Args:
        trainer: The trainer of the test.
        model: The model; its weights are those of the checkpoint afterwards.
        data: The data.
        checkpoint: Path of the checkpoint, which is replaced.

    Raises:
        LitGenreError: The model has no temperature, or there is no validation split.
        OSError: The checkpoint cannot be written.
    """
    # A subclass must take it, to be built from its checkpoint.
    if not isinstance(model, GenreClassifier) or "temperature" not in named_parameters(type(model)):
        raise LitGenreError(
            "--calibrate is for a GenreClassifier with the argument `temperature`, but the class of this model is "
            f"{type(model).__name__}."
        )
    # Data of another kind than lit-genre's has its val_dataloader alone.
    if not getattr(data, "has_val", is_overridden("val_dataloader", data)):
        raise LitGenreError(
            "--calibrate fits the temperature on the validation split, but the data has none. Leave out --calibrate."
        )
    model.set_temperature(1.0)
    callback = _FitTemperature()
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    trainer.validate(model, datamodule=data, ckpt_path=checkpoint, verbose=False)
    trainer.callbacks.remove(callback)  # type: ignore[attr-defined]
    fitted = callback.fitted
    assert fitted is not None
    model.set_temperature(fitted.value)
    if trainer.is_global_zero:
        content = read_checkpoint(checkpoint)
        content["hyper_parameters"]["temperature"] = fitted.value
        with atomic_write(checkpoint) as file:
            torch.save(content, file)
        console.print(
            f"Temperature {fitted.value:.3f}, stored in {checkpoint}: the log-loss of {fitted.n_tracks:,} validation "
            f"tracks is {fitted.loss:.3f} instead of {fitted.loss_before:.3f}"
        )
    # The test reads the checkpoint, also in the other processes.
    trainer.strategy.barrier()
