"""Write predictions to files and to the console: a row for each song and, on request, for each clip."""

import csv
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from lit_genre.batch import Task
from lit_genre.inference import STDOUT
from lit_genre.inference.predictor import SongPrediction
from lit_genre.model.metrics import genres_named
from lit_genre.text import spreadsheet_cell


def top_genres(probs: Tensor, classes: Sequence[str], top_k: int) -> dict[str, float]:
    """Return the most probable genres.

    Args:
        probs: Probability of each class, 0 to 1, shape (c,).
        classes: Class names.
        top_k: Number of genres, at least 1; all if there are fewer.

    Returns:
        Probabilities by genre, rounded to 6 decimals, in descending order.
    """
    values, indices = probs.topk(min(top_k, len(classes)))
    return {classes[index]: round(value, 6) for value, index in zip(values.tolist(), indices.tolist(), strict=True)}


def prediction_as_dict(
    prediction: SongPrediction, classes: Sequence[str], task: Task, top_k: int, segments: bool, clip_seconds: float
) -> dict[str, Any]:
    """Return a prediction as data for JSON.

    Args:
        prediction: Prediction of a song.
        classes: Class names.
        task: Task of the model.
        top_k: Number of genres of the song and of each clip.
        segments: Whether to include the predictions of the clips.
        clip_seconds: Length of a clip, s.

    Returns:
        `seconds`, `status`, `seconds_lost`, `genre`, `genres` and, on request, `segments`: for each clip `start`, s,
        `end`, s, `genre` and `genres`.
    """
    row: dict[str, Any] = {
        "seconds": round(prediction.seconds, 3),
        **_completeness(prediction),
        **_genres(prediction.probs, classes, task, top_k),
    }
    if segments:
        row["segments"] = [
            {"start": start, "end": end, **_genres(probs, classes, task, top_k)}
            for start, end, probs in list_segments(prediction, clip_seconds)
        ]
    return row


def _completeness(prediction: SongPrediction) -> dict[str, Any]:
    """Return the columns that describe how much of a song was decoded."""
    return {"status": prediction.status.kind, "seconds_lost": prediction.status.seconds_lost}


def _genres(probs: Tensor, classes: Sequence[str], task: Task, top_k: int) -> dict[str, Any]:
    return {"genre": genres_named(probs, classes, task == "multilabel"), "genres": top_genres(probs, classes, top_k)}


def list_segments(prediction: SongPrediction, clip_seconds: float) -> list[tuple[float, float, Tensor]]:
    """Return start, end and probabilities of each clip of a song.

    Args:
        prediction: Prediction of the song.
        clip_seconds: Length of a clip, s.

    Returns:
        For each clip its start, s, its end, s, both rounded to milliseconds, and its probabilities, shape (c,).
    """
    # A song that is shorter than a clip was repeated to fill the clip; it ends earlier.
    ends = (prediction.starts + clip_seconds).clamp(max=prediction.seconds)
    start, end = ([round(value, 3) for value in column.tolist()] for column in (prediction.starts, ends))
    return list(zip(start, end, prediction.clip_probs, strict=True))


class CSVWriter(ExitStack):
    """Writes a CSV with a row for each song, and on request a second CSV with a row for each clip.

    Args:
        path: The CSV; the second file has the suffix `.segments.csv`.
        classes: Class names, one column each.
        task: Task of the model.
        segments: Whether to write the second file.
        clip_seconds: Length of a clip, s.

    Raises:
        OSError: A file cannot be written.
    """

    def __init__(self, path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float) -> None:
        super().__init__()
        self.classes, self.task, self.clip_seconds = classes, task, clip_seconds
        self._segments = None
        try:
            self._songs = self._table(path, ["path", "seconds", "status", "seconds_lost", "genre", *classes])
            if segments:
                columns = ["path", "start", "end", "genre", *classes]
                self._segments = self._table(path.with_suffix(".segments.csv"), columns)
        except OSError:
            # If the second file cannot be opened, nobody else closes the first.
            self.close()
            raise

    def _table(self, path: Path, columns: list[str]) -> Any:
        file = self.enter_context(_open_text(path, newline=""))
        # With the default line terminator \r\n: only then the csv module quotes a name that contains \r.
        table = csv.writer(file)
        table.writerow(map(spreadsheet_cell, columns))
        return table

    def write(self, path: Path, prediction: SongPrediction) -> None:
        """Write the row of a song, and those of its clips.

        Args:
            path: Path of the song.
            prediction: Prediction of the song.
        """
        name = spreadsheet_cell(str(path))
        completeness = _completeness(prediction).values()
        self._songs.writerow([name, f"{prediction.seconds:.3f}", *completeness, *self._genre_columns(prediction.probs)])
        if self._segments:
            for start, end, probs in list_segments(prediction, self.clip_seconds):
                self._segments.writerow([name, start, end, *self._genre_columns(probs)])

    def _genre_columns(self, probs: Tensor) -> list[str]:
        genre = spreadsheet_cell(genres_named(probs, self.classes, self.task == "multilabel"))
        return [genre, *(f"{prob:.6f}" for prob in probs.tolist())]


class JSONLinesWriter(ExitStack):
    """Writes JSON Lines: an object for each song, with its path and the entries of `prediction_as_dict`.

    Args:
        path: File to write.
        classes: Class names.
        task: Task of the model.
        segments: Whether to write the predictions of the clips.
        clip_seconds: Length of a clip, s.
        top_k: Number of genres of the song and of each clip.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(
        self, path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top_k: int
    ) -> None:
        super().__init__()
        self._arguments = (classes, task, top_k, segments, clip_seconds)
        self._file = self.enter_context(_open_text(path))

    def write(self, path: Path, prediction: SongPrediction) -> None:
        """Write the line of a song.

        Args:
            path: Path of the song.
            prediction: Prediction of the song.
        """
        # json.dumps escapes bytes of a name that are not UTF-8, so that a reader can restore them.
        self._file.write(json.dumps({"path": str(path), **prediction_as_dict(prediction, *self._arguments)}) + "\n")


def _open_text(path: Path, newline: str | None = None) -> TextIO:
    """Open a file, or the standard output for "-", for writing text."""
    is_stdout = path == STDOUT
    return open(
        sys.stdout.fileno() if is_stdout else path,
        "w",
        1,
        newline=newline,
        encoding="utf-8",
        errors="backslashreplace",
        closefd=not is_stdout,
    )


def open_writer(
    path: Path, format: str, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top_k: int
) -> CSVWriter | JSONLinesWriter:
    """Open a table of predictions; each row is written to the disk at once.

    Args:
        path: The file; missing folders are created, and an existing file is replaced. "-" is the standard output.
        format: "csv", or "json" for JSON Lines.
        classes: Class names.
        task: Task of the model.
        segments: Whether to write the predictions of the clips.
        clip_seconds: Length of a clip, s.
        top_k: Number of genres in JSON; a CSV has all.

    Returns:
        The writer, a context manager that closes the file.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "csv":
        return CSVWriter(path, classes, task, segments, clip_seconds)
    return JSONLinesWriter(path, classes, task, segments, clip_seconds, top_k)
