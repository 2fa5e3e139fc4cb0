"""What a test or a prediction says of each track: tables, and pictures of the test."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from rich.table import Table
from torch.nn.functional import one_hot

from lit_genre.callbacks import leaves_files
from lit_genre.callbacks.first_step import FirstStepCallback
from lit_genre.console import console
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores, average_precision_of, genres_named, score
from lit_genre.plots.scores import (
    draw_average_precision,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
)
from lit_genre.runs.folder import is_best, read_recipe, run_folder_of
from lit_genre.text import one_line, spreadsheet_cell

_OF_A_TEST: Final = (
    *("test.csv", "confusion.png", "precision_recall.png", "reliability.png"),
    *("genres.csv", "average_precision.png"),
)


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
            for name in _OF_A_TEST:
                (Path(trainer.default_root_dir) / name).unlink(missing_ok=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what `lit-genre validate` found."""
        if trainer.state.fn == TrainerFn.VALIDATING and (scores := scores_of(trainer, pl_module)):
            _print(scores, classes_of(pl_module), "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and print what the test found."""
        if scores := scores_of(trainer, pl_module):
            report_test(scores, classes_of(pl_module), test_folder(trainer))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the predictions."""
        if scores := scores_of(trainer, pl_module):
            path = Path(trainer.default_root_dir) / "predictions.csv"
            # Of music of anyone's, which has names and no known genres.
            files = getattr(getattr(trainer, "datamodule", None), "files", None)
            if files is None:
                _write(scores, classes_of(pl_module), path)
            else:
                _write_files(scores, files, pl_module, path)
            console.print(f"Predictions of {len(scores.track_id):,} tracks: {path}")


def test_folder(trainer: Trainer) -> Path:
    """Tell where a test goes: into the run's folder that of its best checkpoint on its data, any other beside it."""
    folder, data = Path(trainer.default_root_dir), getattr(trainer, "datamodule", None)
    checkpoint = Path(trainer.ckpt_path or "")
    run = run_folder_of(checkpoint)
    if run is None or run.resolve() != folder.resolve():
        return folder
    # Data of another class does not get to hear of the checkpoint.
    is_of_class = read_recipe(checkpoint)["data"]["class_path"].rpartition(".")[2] == type(data).__name__
    if is_best(checkpoint) and is_of_class and getattr(data, "is_of_checkpoint", True):
        return folder
    # FMA's store is called after the subset alone, wherever it lies.
    root, store = getattr(data, "root", Path()).resolve().name, getattr(data, "store_name", "")
    return folder / "tests" / "-".join(filter(None, (checkpoint.stem, "" if root in store else root, store)))


def report_test(scores: TrackScores, classes: list[str], folder: Path) -> None:
    """Write, draw and print what a test found into the folder of its run."""
    _write(scores, classes, folder / "test.csv")
    if scores.several:
        _write_genres(scores, classes, folder / "genres.csv")
        draw_average_precision(scores, classes, folder / "average_precision.png")
    else:
        draw_confusion(scores, classes, f"test: {_accuracy(scores, classes)}", folder / "confusion.png")
        draw_precision_recall(scores, classes, folder / "precision_recall.png")
        draw_reliability(scores, classes, folder / "reliability.png")
    _print(scores, classes, "test")
    console.print(f"Run:         {folder}")
    for name, pattern in (("Tables", "*.csv"), ("Plots", "*.png"), ("Checkpoints", "checkpoints/*.ckpt")):
        if found := sorted(map(str, folder.glob(pattern))):
            console.print(f"{name + ':':<12}", *found)


def scores_of(trainer: Trainer, pl_module: LightningModule) -> TrackScores | None:
    """Hand out the scores of the last evaluation, on the CPU; None in a process that writes nothing."""
    # Another LightningModule has no scores of tracks.
    scores = getattr(pl_module, "track_scores", None)
    if scores is None or not leaves_files(trainer):
        return None
    return TrackScores(*(column.cpu() for column in scores))


def classes_of(pl_module: LightningModule) -> list[str]:
    """Name the model's classes."""
    assert isinstance(pl_module, GenreClassifier)
    return pl_module.classes


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """Open a CSV file to be written; what reads it gets back every name, unless it is no UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that is no UTF-8 is written with its bytes as \udcff.
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        # With its default ends of lines, for only then a \r in a name is quoted.
        yield csv.writer(file)


def _write(scores: TrackScores, classes: list[str], path: Path) -> None:
    with _table(path) as table:
        table.writerow(["track_id", "genre", "predicted", *classes])
        for track_id, probs, label in zip(*scores, strict=True):
            shares = (f"{prob:.6f}" for prob in probs.tolist())
            genre = genres_named(label if scores.several else one_hot(label, len(classes)), classes, scores.several)
            table.writerow([int(track_id), genre, genres_named(probs, classes, scores.several), *shares])


def _write_files(scores: TrackScores, files: Sequence[Path], pl_module: LightningModule, path: Path) -> None:
    classes, several = classes_of(pl_module), pl_module.task == "multi"
    with _table(path) as table:
        table.writerow(["path", "predicted", *map(spreadsheet_cell, classes)])
        for position, probs in zip(scores.track_id.tolist(), scores.probs, strict=True):
            shares = (f"{prob:.6f}" for prob in probs.tolist())
            names = (spreadsheet_cell(text) for text in (str(files[position]), genres_named(probs, classes, several)))
            table.writerow([*names, *shares])


def _write_genres(scores: TrackScores, classes: list[str], path: Path) -> None:
    with _table(path) as table:
        table.writerow(["genre", "tracks", "average_precision"])
        rows = zip(classes, scores.label.sum(0).tolist(), average_precision_of(scores).tolist(), strict=True)
        table.writerows((name, count, "" if average != average else f"{average:.6f}") for name, count, average in rows)


def _accuracy(scores: TrackScores, classes: list[str]) -> str:
    from scipy.stats import binomtest

    n = len(scores.label)
    accuracy = float(score(scores, classes)["accuracy"])
    low, high = binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return f"accuracy {accuracy:.1%} of {n:,} tracks (95 % interval {low:.1%} to {high:.1%})"


def _print(scores: TrackScores, classes: list[str], split: str) -> None:
    rated = score(scores, classes)
    if scores.several:
        table = Table("", "mean over genres", "all at once", title=f"{split}: {len(scores.label):,} tracks")
        for name in ("average_precision", "roc_auc"):
            figures = (rated.get(f"{name}_{mean}") for mean in ("macro", "micro"))
            table.add_row(name, *("-" if figure is None else f"{figure:.3f}" for figure in figures))
        console.print(table)
        return
    counts = scores.label.bincount(minlength=len(classes))
    table = Table("genre", "F1", "tracks", title=f"{split}: {_accuracy(scores, classes)}", title_justify="left")
    for name, count in zip(classes, counts.tolist(), strict=True):
        table.add_row(one_line(name), f"{rated[f'f1/{name}']:.3f}" if count else "no track", str(count))
    table.add_section()
    absent = counts.tolist().count(0)
    mean = "mean over genres" + (f" with a track ({len(classes) - absent} of {len(classes)})" if absent else "")
    table.add_row(mean, f"{rated['f1_macro']:.3f}", str(len(scores.label)))
    console.print(table)
