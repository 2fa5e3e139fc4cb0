"""Write the tables and plots of a test into a run folder, and print the scores of a test or a validation."""

from collections.abc import Mapping

from rich.table import Table
from torch import Tensor

from lit_genre.console import console, results
from lit_genre.model.metrics import TrackScores, calibration_error, calibration_error_by_chance, score
from lit_genre.plots.scores import (
    draw_average_precision,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
)
from lit_genre.runs.accuracy import UNKNOWN_ARTIST, ScoredTracks, artist_clusters, describe_accuracy, warn_of_few
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.tables import write_genres_table, write_test_table
from lit_genre.text import one_line


def report_test(
    scores: TrackScores, classes: list[str], folder: RunFolder, artists: Mapping[int, int] | None = None
) -> None:
    """Write the tables and plots of a test into a folder, and print its scores.

    Args:
        scores: Scores of the tracks, on the CPU.
        classes: Class names in the order of the labels.
        folder: Folder of the run, or of a further test.
        artists: Id of the artist by track id; None if all are unknown. The tracks of an artist are one cluster of the
            confidence interval.

    Raises:
        OSError: A file cannot be written.
    """
    artists = artists or {}
    write_test_table(scores, classes, folder.test_table, artists)
    if scores.several:
        write_genres_table(scores, classes, folder.genres_table)
        draw_average_precision(scores, classes, folder.average_precision)
    else:
        draw_confusion(scores, classes, f"test: {_accuracy(scores, artists)}", folder.confusion)
        draw_precision_recall(scores, classes, folder.precision_recall)
        draw_reliability(scores, classes, folder.reliability)
    print_scores(scores, classes, "test", artists)
    if not scores.several:
        results.print(
            f"Calibration error {calibration_error(scores, classes):.3f}; perfectly calibrated probabilities have "
            f"{calibration_error_by_chance(scores):.3f} by chance on {len(scores.label):,} tracks"
        )
        if hint := warn_of_few(_tested(scores, artists)):
            console.print(hint)
    results.print(f"Run:         {folder.path}")
    tables, plots = folder.path.glob("*.csv"), folder.path.glob("*.png")
    for name, files in (("Tables", tables), ("Plots", plots), ("Checkpoints", folder.checkpoints.glob("*.ckpt"))):
        if paths := sorted(map(str, files)):
            results.print(f"{name + ':':<12}", *paths)


def print_scores(scores: TrackScores, classes: list[str], split: str, artists: Mapping[int, int]) -> None:
    """Print the scores of a split: those of each genre, and their mean over genres.

    Args:
        scores: Scores of the tracks, on the CPU.
        classes: Class names in the order of the labels.
        split: Name of the split.
        artists: Id of the artist by track id.
    """
    rated = score(scores, classes)
    if scores.several:
        results.print(_multilabel_table(rated, f"{split}: {len(scores.label):,} tracks"))
        return
    counts = scores.label.bincount(minlength=len(classes))
    table = Table("genre", "F1", "tracks", title=f"{split}: {_accuracy(scores, artists)}", title_justify="left")
    for name, count in zip(classes, counts.tolist(), strict=True):
        table.add_row(one_line(name), f"{rated[f'f1/{name}']:.3f}" if count else "no track", str(count))
    table.add_section()
    absent = counts.tolist().count(0)  # Genres without a track have no F1, so the mean leaves them out.
    mean = "mean over genres" + (f" with a track ({len(classes) - absent} of {len(classes)})" if absent else "")
    table.add_row(mean, f"{rated['f1_macro']:.3f}", str(len(scores.label)))
    results.print(table)


def _multilabel_table(rated: Mapping[str, Tensor], title: str) -> Table:
    """Return a table of the means alone: FMA has 161 genres, which are in genres.csv."""
    table = Table("", "mean over genres", "all genres together", title=title)
    for name in ("average_precision", "roc_auc"):
        figures = (rated.get(f"{name}_{mean}") for mean in ("macro", "micro"))
        table.add_row(name, *("-" if figure is None else f"{figure:.3f}" for figure in figures))
    return table


def _accuracy(scores: TrackScores, artists: Mapping[int, int]) -> str:
    return f"accuracy {describe_accuracy(_tested(scores, artists))}"


def _tested(scores: TrackScores, artists: Mapping[int, int]) -> ScoredTracks:
    correct = (scores.probs.argmax(1) == scores.label).tolist()
    clusters = artist_clusters([artists.get(track_id, UNKNOWN_ARTIST) for track_id in scores.track_id.tolist()])
    return ScoredTracks(correct, clusters)
