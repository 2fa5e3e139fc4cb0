"""What Weights & Biases shows of a run beside its scores: curves on shared axes, confusion, tracks to listen to."""

from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from lit_genre.callbacks import leaves_files, network_of
from lit_genre.callbacks.curves import headline_of
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.callbacks.history import History
from lit_genre.callbacks.pictures import precision_recall
from lit_genre.callbacks.track_report import classes_of, scores_of, test_folder
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.text import one_line

MOST_WRONG: Final = 32
"""Tracks that were wrong with the greatest probability, to be listened to."""

CURVES_EVERY: Final = 5
"""Epochs from one sending of the curves to the next: each sends them whole."""

HEARD_SECONDS: Final = 10
"""How much of such a track is sent."""


class Dashboard(FirstStepCallback):
    """Sends to W&B, where the run logs there, and does nothing otherwise.

    Each epoch the confusion of genres on validation; every few, and at the end, `curves/loss` and `curves/accuracy`,
    training and validation on the same axes. Behind a test: confusion, precision over recall, reliability, a table of
    all tracks, and one of those that were most confidently wrong, with sound and spectrogram. The summary holds
    parameters, training seconds, best validation and test accuracy. The best checkpoint goes up as an artifact where
    the logger's log_model asks for it.
    """

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the size of the network."""
        _summarise(trainer, {"parameters": sum(p.numel() for p in network_of(pl_module).parameters())})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the confusion of genres on validation."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or not _loggers(trainer):
            return
        if (scores := scores_of(trainer, pl_module)) and not scores.several:
            _send(trainer, {"val/confusion": _confusion(scores, classes_of(pl_module))})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the curves up to now, every few epochs; History, which comes before, has noted this one."""
        rows = _rows(trainer)
        if rows and len(rows) % CURVES_EVERY == 0:
            _send_curves(trainer, rows)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the whole curves and, where that is asked for, the best checkpoint."""
        if rows := _rows(trainer):
            _send_curves(trainer, rows)
        best = Path(trainer.default_root_dir) / "checkpoints" / "best.ckpt"
        for logger in _loggers(trainer):
            if getattr(logger, "uploads_model", False) and best.exists():
                import wandb

                summary = logger.experiment.summary
                known = {name: summary.get(name) for name in (f"best_val_{pl_module.headline}", "parameters", "epochs")}
                metadata = {"classes": classes_of(pl_module), "backbone": type(network_of(pl_module)).__name__, **known}
                artifact = wandb.Artifact(f"model-{logger.experiment.id}", "model", metadata=metadata)
                artifact.add_file(str(best), "best.ckpt")
                logger.experiment.log_artifact(artifact, aliases=["best"])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send what the test found."""
        if not _loggers(trainer) or not (scores := scores_of(trainer, pl_module)):
            return
        import wandb

        classes, folder = classes_of(pl_module), test_folder(trainer)
        if folder != Path(trainer.default_root_dir):
            return  # Its figures are not this run's.
        if scores.several:
            _send(trainer, {"test/average_precision": wandb.Image(f"{folder}/average_precision.png")})
            rated = score(scores, classes)
            _summarise(trainer, {f"test_{name}": float(value) for name, value in rated.items()})
            return
        curves = precision_recall(scores, classes)
        recall = [curve[0] for curve in curves.values()]
        precision = [curve[1] for curve in curves.values()]
        error = calibration_error(scores, classes)
        sent: dict[str, Any] = {
            "test/confusion": _confusion(scores, classes),
            "test/precision_recall": wandb.plot.line_series(
                recall, precision, keys=list(map(one_line, curves)), title="precision over recall", xname="recall"
            ),
            "test/reliability": wandb.Image(f"{folder}/reliability.png"),
            "test/calibration_error": error,
        }
        # Other data than FMA may know neither titles nor sound.
        if hasattr(getattr(trainer, "datamodule", None), "track"):
            sent["test/tracks"] = _track_table(trainer, scores, classes)
            sent["test/most_wrong"] = _most_wrong(trainer, pl_module, scores, classes)
        _send(trainer, sent)
        rated = score(scores, classes)
        accuracy, f1_macro = float(rated["accuracy"]), float(rated["f1_macro"])
        _summarise(trainer, {"test_accuracy": accuracy, "test_f1_macro": f1_macro, "test_calibration_error": error})


def _rows(trainer: Trainer) -> list[dict[str, float]]:
    """Hand out History's rows, of each epoch up to now, where the run logs to W&B."""
    callbacks = trainer.callbacks if _loggers(trainer) else []  # type: ignore[attr-defined]
    return next((callback.rows for callback in callbacks if isinstance(callback, History)), [])


def _send_curves(trainer: Trainer, rows: list[dict[str, float]]) -> None:
    import wandb

    epochs = [row["epoch"] + 1 for row in rows]
    headline = headline_of(rows)
    for quantity in ("loss", headline):
        splits = [split for split in ("train", "val") if f"{split}/{quantity}" in rows[-1]]
        values = [[row.get(f"{split}/{quantity}") for row in rows] for split in splits]
        chart = wandb.plot.line_series(epochs, values, keys=splits, title=quantity, xname="epoch")
        _send(trainer, {f"curves/{quantity}": chart})
    best = max((row[f"val/{headline}"] for row in rows if f"val/{headline}" in row), default=None)
    seconds = sum(row["seconds"] for row in rows)
    _summarise(trainer, {f"best_val_{headline}": best, "training_seconds": seconds, "epochs": len(rows)})


def _loggers(trainer: Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger) and leaves_files(trainer)]


def _send(trainer: Trainer, media: dict[str, Any]) -> None:
    for logger in _loggers(trainer):
        logger.log_metrics(media, step=trainer.global_step)


def _summarise(trainer: Trainer, figures: dict[str, Any]) -> None:
    for logger in _loggers(trainer):
        logger.experiment.summary.update({name: value for name, value in figures.items() if value is not None})


def _confusion(scores: TrackScores, classes: list[str]) -> Any:
    import wandb

    predicted = scores.probs.argmax(1).tolist()
    names = [one_line(name) for name in classes]
    return wandb.plot.confusion_matrix(y_true=scores.label.tolist(), preds=predicted, class_names=names)


def _row(trainer: Trainer, classes: list[str], track_id: int, probs: torch.Tensor, label: int) -> list[Any]:
    track = trainer.datamodule.track(track_id)  # type: ignore[attr-defined]
    shares = [round(share, 4) for share in probs.tolist()]
    names = (track.title, track.artist, classes[label], classes[int(probs.argmax())])
    return [track_id, *map(one_line, names), *shares]


def _columns(classes: list[str], *last: str) -> list[str | int]:
    """Name the columns of a table of tracks; a genre that has the name of another column gets a longer one."""
    first = ["track_id", "title", "artist", "genre", "predicted"]
    taken = {*first, *last}
    return [*first, *(f"genre {name}" if name in taken else name for name in map(one_line, classes)), *last]


def _track_table(trainer: Trainer, scores: TrackScores, classes: list[str]) -> Any:
    import wandb

    rows: list[Any] = [
        _row(trainer, classes, int(track_id), probs, int(label)) for track_id, probs, label in zip(*scores, strict=True)
    ]
    return wandb.Table(_columns(classes), rows)


def _most_wrong(trainer: Trainer, pl_module: LightningModule, scores: TrackScores, classes: list[str]) -> Any:
    import wandb

    assert isinstance(pl_module, GenreClassifier)
    confidence, predicted = scores.probs.max(1)
    wrong = (predicted != scores.label).nonzero().flatten()
    chosen = wrong[confidence[wrong].argsort(descending=True)][:MOST_WRONG]
    rows: list[Any] = []
    for place in chosen.tolist():
        track_id = int(scores.track_id[place])
        waveform = torch.from_numpy(trainer.datamodule.waveform(track_id, HEARD_SECONDS)).float() / 2**15  # type: ignore[attr-defined]
        row = _row(trainer, classes, track_id, scores.probs[place], int(scores.label[place]))
        sound = wandb.Audio(waveform.numpy(), sample_rate=pl_module.sample_rate)
        rows.append([*row, sound, wandb.Image(_spectrogram(pl_module, waveform))])
    return wandb.Table(_columns(classes, "sound", "spectrogram"), rows)


@torch.no_grad()
def _spectrogram(pl_module: GenreClassifier, waveform: torch.Tensor) -> Any:
    """Paint what the model sees, low bands below; a waveform where it has no spectrogram."""
    from matplotlib import colormaps

    mel = pl_module.frontend(waveform[None].to(pl_module.device))[0].cpu()
    if mel.ndim == 1:
        mel = mel[None, ::64].expand(32, -1)
    return (colormaps["magma"]((mel.flip(0).numpy() + 1) / 2)[..., :3] * 255).astype("uint8")
