"""Log curves on shared axes, confusion matrices and tables of tracks with sound to W&B."""

from typing import Any, Final

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from lit_genre.callbacks import leaves_files, network_of, run_folder
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.callbacks.history import History
from lit_genre.callbacks.other_loggers import Results, log_best_checkpoint, prepare_loggers, send_results
from lit_genre.callbacks.track_report import test_folder
from lit_genre.callbacks.track_tables import knows_tracks, most_wrong_markdown, most_wrong_table, track_table
from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.model.scored_network import EvaluationSplit, ScoredNetwork, TrackScoresCallback
from lit_genre.plots.curves import primary_metric_of
from lit_genre.plots.scores import precision_recall
from lit_genre.runs.folder import RunFolder
from lit_genre.text import one_line

CURVES_EVERY: Final = 5
"""Epochs between two uploads of the curves: each upload has all epochs."""


class Dashboard(FirstStepCallback, TrackScoresCallback):
    """Sends the results of a training and of a test to the loggers of the run.

    Each epoch W&B receives the confusion matrix of the validation. Every few epochs, and at the end, it receives
    `curves/loss` and `curves/accuracy`, with training and validation on the same axes. After a test it receives the
    confusion matrix, precision-recall curves, the reliability diagram, a table of all tracks, and a table of the most
    confidently wrong tracks with sound and spectrogram. The summary has the number of parameters, training seconds,
    best validation accuracy and test accuracy. The best checkpoint is uploaded as an artifact if the logger's
    log_model asks for it.

    TensorBoard receives the pictures and a table of the most confidently wrong tracks. MLflow receives the files of
    the run's folder and, if log_model asks for it, the best checkpoint. Every logger receives the best validation
    score, the training time and, after a test, the calibration error.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare the loggers, before anything is logged."""
        prepare_loggers(trainer)

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the size of the network."""
        _summarise(trainer, {"parameters": sum(p.numel() for p in network_of(pl_module).parameters())})

    def on_track_scores(
        self, trainer: Trainer, pl_module: ScoredNetwork, split: EvaluationSplit, scores: TrackScores
    ) -> None:
        """Send the confusion matrix of a validation in training, or all results of a test."""
        if not leaves_files(trainer):
            return
        if split == "test" and trainer.loggers:
            _send_test_results(trainer, pl_module, scores)
        elif trainer.state.fn == TrainerFn.FITTING and _loggers(trainer) and not scores.several:
            _send(trainer, {"val/confusion": _confusion(scores, pl_module.classes)})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the curves every few epochs; History, which comes before, has added the row of this epoch."""
        rows = _rows(trainer)
        if _loggers(trainer) and rows and len(rows) % CURVES_EVERY == 0:
            _send_curves(trainer, rows)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the curves of all epochs and, if the logger asks for it, the best checkpoint."""
        if rows := _rows(trainer):
            files = {path.stem: path for path in run_folder(trainer).training_files}
            send_results(trainer, Results(_summary(rows), files))
            if _loggers(trainer):
                _send_curves(trainer, rows)
        log_best_checkpoint(trainer)
        best = run_folder(trainer).best
        for logger in _loggers(trainer):
            if getattr(logger, "uploads_model", False) and best.exists():
                import wandb

                # Numbers that History and the first step have sent, so that the artifact has the same.
                summary = logger.experiment.summary
                known = {
                    name: summary.get(name) for name in (f"best_val_{pl_module.primary_metric}", "parameters", "epochs")
                }
                metadata = {"classes": pl_module.classes, "backbone": type(network_of(pl_module)).__name__, **known}
                artifact = wandb.Artifact(f"model-{logger.experiment.id}", "model", metadata=metadata)
                artifact.add_file(str(best), best.name)
                logger.experiment.log_artifact(artifact, aliases=["best"])


def _send_test_results(trainer: Trainer, pl_module: ScoredNetwork, scores: TrackScores) -> None:
    classes, folder = pl_module.classes, test_folder(trainer)
    metrics = {} if scores.several else {"test/calibration_error": calibration_error(scores, classes)}
    files = {f"test/{path.stem}": path for path in folder.test_files}
    has_tables = knows_tracks(trainer) and not scores.several
    texts = {"test/most_wrong": most_wrong_markdown(trainer, scores, classes)} if has_tables else {}
    send_results(trainer, Results(metrics, files, texts))
    # In W&B, a test of the run's best checkpoint on its own data belongs to the run; any other test does not.
    if not _loggers(trainer) or folder != run_folder(trainer):
        return
    if scores.several:
        _send_average_precision(trainer, scores, classes, folder)
        return
    _send_test(trainer, scores, classes, folder)
    if has_tables:
        most_wrong = most_wrong_table(trainer, pl_module, scores, classes)
        _send(trainer, {"test/tracks": track_table(trainer, scores, classes), "test/most_wrong": most_wrong})


def _send_average_precision(trainer: Trainer, scores: TrackScores, classes: list[str], folder: RunFolder) -> None:
    # Imported in functions: wandb takes a second, which a run without it need not wait for.
    import wandb

    _send(trainer, {"test/average_precision": wandb.Image(str(folder.average_precision))})
    rated = score(scores, classes)
    _summarise(trainer, {f"test_{name}": float(value) for name, value in rated.items()})


def _send_test(trainer: Trainer, scores: TrackScores, classes: list[str], folder: RunFolder) -> None:
    import wandb

    curves = precision_recall(scores, classes)
    # W&B's line_series takes a list of x values and a list of y values for each line.
    recall = [curve[0] for curve in curves.values()]
    precision = [curve[1] for curve in curves.values()]
    error = calibration_error(scores, classes)
    chart = wandb.plot.line_series(
        recall, precision, keys=list(map(one_line, curves)), title="precision over recall", xname="recall"
    )
    media = {
        "test/confusion": _confusion(scores, classes),
        "test/precision_recall": chart,
        "test/reliability": wandb.Image(str(folder.reliability)),
        "test/calibration_error": error,
    }
    _send(trainer, media)
    rated = score(scores, classes)
    accuracy, f1_macro = float(rated["accuracy"]), float(rated["f1_macro"])
    _summarise(trainer, {"test_accuracy": accuracy, "test_f1_macro": f1_macro, "test_calibration_error": error})


def _rows(trainer: Trainer) -> list[dict[str, float]]:
    """Return the rows of History, one for each epoch."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.rows for callback in callbacks if isinstance(callback, History)), [])


def _send_curves(trainer: Trainer, rows: list[dict[str, float]]) -> None:
    import wandb

    epochs = [row["epoch"] + 1 for row in rows]
    primary_metric = primary_metric_of(rows)
    for quantity in ("loss", primary_metric):
        splits = [split for split in ("train", "val") if f"{split}/{quantity}" in rows[-1]]
        # None for epochs without validation: W&B leaves a gap.
        values = [[row.get(f"{split}/{quantity}") for row in rows] for split in splits]
        chart = wandb.plot.line_series(epochs, values, keys=splits, title=quantity, xname="epoch")
        _send(trainer, {f"curves/{quantity}": chart})
    _summarise(trainer, _summary(rows))


def _summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the numbers by which W&B's table compares runs."""
    primary_metric = primary_metric_of(rows)
    scores = [row[f"val/{primary_metric}"] for row in rows if f"val/{primary_metric}" in row]
    best = {f"best_val_{primary_metric}": max(scores)} if scores else {}
    # Floats, as loggers other than W&B accept nothing else.
    return best | {"training_seconds": sum(row["seconds"] for row in rows), "epochs": float(len(rows))}


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
