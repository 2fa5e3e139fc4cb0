"""What a test or a prediction says of each track: tables, and pictures of the test."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_genre.callbacks import leaves_files, run_folder
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.console import console
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.report import print_scores, report_test
from lit_genre.runs.tables import write_predictions_table, write_test_table


class TrackReport(FirstStepCallback):
    """Writes `test.csv` and its pictures behind a test, `predictions.csv` behind a prediction.

    A test of another checkpoint than the best, or on other data than the run's, goes into a folder of its own.

    The CSV has a row for each track: its id, its genre, the predicted genre and the probability of each genre. Where a
    track may have several, its genres stand in one field, divided by semicolons, the prediction is those of at least
    0.5, and `genres.csv` rates each genre.
    """

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Delete the results of a test where a run is resumed: its weights change."""
        if trainer.ckpt_path and leaves_files(trainer):
            for path in run_folder(trainer).test_files:
                path.unlink(missing_ok=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what `lit-genre validate` found."""
        if trainer.state.fn == TrainerFn.VALIDATING and (scores := scores_of(trainer, pl_module)):
            print_scores(scores, classes_of(pl_module), "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and print what the test found."""
        if scores := scores_of(trainer, pl_module):
            report_test(scores, classes_of(pl_module), test_folder(trainer))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions."""
        if scores := scores_of(trainer, pl_module):
            path = run_folder(trainer).predictions
            # Files of a user have names and no known genres.
            files = getattr(getattr(trainer, "datamodule", None), "files", None)
            if files is None:
                write_test_table(scores, classes_of(pl_module), path)
            else:
                write_predictions_table(scores, files, classes_of(pl_module), pl_module.task == "multilabel", path)
            console.print(f"Predictions of {len(scores.track_id):,} tracks: {path}")


def test_folder(trainer: Trainer) -> RunFolder:
    """Return the folder of a test: the run's own for its best checkpoint on its data, else one of a further test."""
    folder, data = run_folder(trainer), getattr(trainer, "datamodule", None)
    checkpoint = Path(trainer.ckpt_path or "")
    run = RunFolder.of_checkpoint(checkpoint)
    if run is None or run.path.resolve() != folder.path.resolve():
        return folder
    # Lightning restores the state of data of the same class only.
    is_of_class = run.read_config()["data"]["class_path"].rpartition(".")[2] == type(data).__name__
    if is_best(checkpoint) and is_of_class and getattr(data, "is_of_checkpoint", True):
        return folder
    # FMA's store is called after the subset alone, wherever it lies.
    root, store = getattr(data, "root", Path()).resolve().name, getattr(data, "cache_name", "")
    return folder.further_test("-".join(filter(None, (checkpoint.stem, "" if root in store else root, store))))


def scores_of(trainer: Trainer, pl_module: LightningModule) -> TrackScores | None:
    """Return the scores of the last evaluation, on the CPU; None in a process that writes nothing."""
    # Another LightningModule has no scores of tracks.
    scores = getattr(pl_module, "track_scores", None)
    if scores is None or not leaves_files(trainer):
        return None
    return TrackScores(*(column.cpu() for column in scores))


def classes_of(pl_module: LightningModule) -> list[str]:
    """Return the class names of the model."""
    assert isinstance(pl_module, GenreClassifier)
    return pl_module.classes
