"""Write the CSV tables of a test and of a prediction."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.nn.functional import one_hot

from lit_genre.files import atomic_write
from lit_genre.model.metrics import TrackScores, average_precision_of, genres_named
from lit_genre.runs.accuracy import TEST_COLUMNS, UNKNOWN_ARTIST
from lit_genre.text import spreadsheet_cell


def write_test_table(scores: TrackScores, classes: list[str], path: Path, artists: Mapping[int, int]) -> None:
    """Write a CSV with a row for each track: id, genre, predicted genre, artist id and the probability of each genre.

    Args:
        scores: Scores of the tracks, on the CPU.
        classes: Class names in the order of the labels.
        path: CSV file to write or to replace.
        artists: Id of the artist by track id; a track that is missing has an unknown artist, -1.

    Raises:
        OSError: The file cannot be written.
    """
    with _table(path) as table:
        table.writerow([*TEST_COLUMNS, *classes])
        for track_id, probs, label in zip(*scores, strict=True):
            shares = (f"{prob:.6f}" for prob in probs.tolist())
            genre = genres_named(label if scores.several else one_hot(label, len(classes)), classes, scores.several)
            predicted = genres_named(probs, classes, scores.several)
            table.writerow([int(track_id), genre, predicted, artists.get(int(track_id), UNKNOWN_ARTIST), *shares])


def write_predictions_table(
    scores: TrackScores, files: Sequence[Path], classes: list[str], several: bool, path: Path
) -> None:
    """Write a CSV with a row for each audio file: path, predicted genre and the probability of each genre.

    Args:
        scores: Scores of the files, on the CPU; `track_id` is the position of a file in `files`.
        files: The audio files.
        classes: Class names in the order of the probabilities.
        several: Whether the task is multilabel, so that a file may have several genres.
        path: CSV file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    # Unlike test.csv, people open this table in a spreadsheet, and no command reads it again.
    with _table(path) as table:
        table.writerow(["path", "predicted", *map(spreadsheet_cell, classes)])
        for position, probs in zip(scores.track_id.tolist(), scores.probs, strict=True):
            shares = (f"{prob:.6f}" for prob in probs.tolist())
            names = (spreadsheet_cell(text) for text in (str(files[position]), genres_named(probs, classes, several)))
            table.writerow([*names, *shares])


def write_genres_table(scores: TrackScores, classes: list[str], path: Path) -> None:
    """Write a CSV with a row for each genre of a multilabel test: name, number of tracks, average precision.

    Args:
        scores: Scores of the tracks of a multilabel test, on the CPU.
        classes: Class names in the order of the labels.
        path: CSV file to write or to replace.

    Raises:
        OSError: The file cannot be written.
    """
    with _table(path) as table:
        table.writerow(["genre", "tracks", "average_precision"])
        rows = zip(classes, scores.label.sum(0).tolist(), average_precision_of(scores).tolist(), strict=True)
        # A genre without a track has no average precision: NaN, which is not equal to itself.
        table.writerows((name, count, "" if average != average else f"{average:.6f}") for name, count, average in rows)


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """Yield a CSV writer, and write its rows to a file when the block ends; a reader gets back the exact names."""
    text = io.StringIO(newline="")
    # With the default line ends, \r\n: the csv module quotes a \r in a name only if the line end contains it.
    yield csv.writer(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        # A file name that is not UTF-8 has bytes that cannot be encoded; they are written as escapes such as \udcff.
        file.write(text.getvalue().encode(errors="backslashreplace"))
