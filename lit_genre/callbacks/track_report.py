"""Write the tables and pictures of a test, the table of a prediction, and print the scores of a validation."""

from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_genre.callbacks import leaves_files, run_folder
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.console import console
from lit_genre.model.metrics import TrackScores
from lit_genre.model.scored_network import EvaluationSplit, ScoredNetwork, TrackScoresCallback
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.report import print_scores, report_test
from lit_genre.runs.tables import write_predictions_table, write_test_table


class TrackReport(FirstStepCallback, TrackScoresCallback):
    """Writes `test.csv` and its pictures after a test, and `predictions.csv` after a prediction.

    A test of another checkpoint than the best, or on other data than the run's, is written into a folder of its own.

    The CSV has a row for each track: its id, its genre, the predicted genre and the probability of each genre. In the
    multilabel task a field has the genres of a track, separated by semicolons; the predicted genres are those with a
    probability of at least 0.5; and `genres.csv` has the scores of each genre.
    """

    def on_first_step(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Delete the results of an earlier test when a run is resumed: its weights change."""
        if trainer.ckpt_path and leaves_files(trainer):
            for path in run_folder(trainer).test_files:
                path.unlink(missing_ok=True)

    def on_track_scores(
        self, trainer: Trainer, pl_module: ScoredNetwork, split: EvaluationSplit, scores: TrackScores
    ) -> None:
        """Print the scores of `lit-genre validate`, or write the files of a test or a prediction."""
        if not leaves_files(trainer):
            return
        # A data module of another kind has no artists.
        artists = getattr(getattr(trainer, "datamodule", None), "artist_ids", {})
        if split == "test":
            report_test(scores, pl_module.classes, test_folder(trainer), artists)
        elif split == "predict":
            _write_predictions(trainer, pl_module, scores, artists)
        # The validation of a training has its line in History.
        elif trainer.state.fn == TrainerFn.VALIDATING:
            print_scores(scores, pl_module.classes, "val", artists)


def _write_predictions(
    trainer: Trainer, pl_module: ScoredNetwork, scores: TrackScores, artists: Mapping[int, int]
) -> None:
    path = run_folder(trainer).predictions
    # A user's files have names, and no known genres.
    files = getattr(getattr(trainer, "datamodule", None), "files", None)
    if files is None:
        write_test_table(scores, pl_module.classes, path, artists)
    else:
        write_predictions_table(scores, files, pl_module.classes, pl_module.task == "multilabel", path)
    console.print(f"Predictions of {len(scores.track_id):,} tracks: {path}")


def test_folder(trainer: Trainer) -> RunFolder:
    """Return the folder of a test.

    Returns:
        The run's folder for its best checkpoint on its own data; otherwise a folder of a further test inside it.
    """
    folder, data = run_folder(trainer), getattr(trainer, "datamodule", None)
    checkpoint = Path(trainer.ckpt_path or "")
    run = RunFolder.of_checkpoint(checkpoint)
    if run is None or run.path.resolve() != folder.path.resolve():
        return folder
    # Lightning restores the state of data of the same class only.
    is_of_class = run.read_config()["data"]["class_path"].rpartition(".")[2] == type(data).__name__
    if is_best(checkpoint) and is_of_class and getattr(data, "is_of_checkpoint", True):
        return folder
    # The name of FMA's store is that of the subset, which two folders of FMA may share.
    root, store = getattr(data, "root", Path()).resolve().name, getattr(data, "cache_name", "")
    return folder.further_test("-".join(filter(None, (checkpoint.stem, "" if root in store else root, store))))
