"""Write predictions to files and to the console: a row for each song and, on request, for each clip."""

import csv
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from rich.table import Column, Table
from torch import Tensor

from lit_genre.batch import Task
from lit_genre.data.metadata.audio_files import readable
from lit_genre.inference.predictor import SongPrediction
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import genres_named
from lit_genre.text import one_line, spreadsheet_cell

FORMATS: Final = (".csv", ".jsonl")


def ranked(probs: Tensor, classes: Sequence[str], top_k: int) -> dict[str, float]:
    """Return the most probable genres.

    Args:
        probs: Probability of each class, shape (c,).
        classes: Class names.
        top_k: Number of genres.

    Returns:
        Probabilities by genre, 0 to 1, in descending order.
    """
    values, indices = probs.topk(min(top_k, len(classes)))
    return {classes[index]: round(value, 6) for value, index in zip(values.tolist(), indices.tolist(), strict=True)}


def prediction_as_dict(
    prediction: SongPrediction, classes: Sequence[str], task: Task, top_k: int, segments: bool, clip_seconds: float
) -> dict[str, Any]:
    """Describe a prediction by plain data."""
    row: dict[str, Any] = {
        "seconds": round(prediction.seconds, 3),
        **_completeness(prediction),
        **_rated(prediction.probs, classes, task, top_k),
    }
    if segments:
        row["segments"] = [
            {"start": start, "end": end, **_rated(probs, classes, task, top_k)}
            for start, end, probs in segments_of(prediction, clip_seconds)
        ]
    return row


def _completeness(prediction: SongPrediction) -> dict[str, Any]:
    """Return how much of a song was decoded."""
    return {"status": prediction.status.kind, "seconds_lost": prediction.status.seconds_lost}


def _rated(probs: Tensor, classes: Sequence[str], task: Task, top_k: int) -> dict[str, Any]:
    return {"genre": genres_named(probs, classes, task == "multilabel"), "genres": ranked(probs, classes, top_k)}


def segments_of(prediction: SongPrediction, clip_seconds: float) -> list[tuple[float, float, Tensor]]:
    """Return the clips of a song.

    Args:
        prediction: Prediction of the song.
        clip_seconds: Length of a clip, s.

    Returns:
        Start and end of each clip, s, and its probabilities, shape (c,).
    """
    ends = (prediction.starts + clip_seconds).clamp(max=prediction.seconds)
    start, end = ([round(value, 3) for value in column.tolist()] for column in (prediction.starts, ends))
    return list(zip(start, end, prediction.clip_probs, strict=True))


class CSVWriter(ExitStack):
    """Writes a CSV: a row for each song with the probability of each genre; the clips are in a second file."""

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
            self.close()
            raise

    def _table(self, path: Path, columns: list[str]) -> Any:
        # Bytes of a file name that are not UTF-8 are written as \udcff.
        file = self.enter_context(path.open("w", 1, newline="", encoding="utf-8", errors="backslashreplace"))
        # With the default line terminator: only then csv quotes a \r in a name.
        table = csv.writer(file)
        table.writerow(map(spreadsheet_cell, columns))
        return table

    def write(self, path: Path, prediction: SongPrediction) -> None:
        """Write the prediction of a file."""
        name = spreadsheet_cell(str(path))
        completeness = _completeness(prediction).values()
        self._songs.writerow([name, f"{prediction.seconds:.3f}", *completeness, *self._rated(prediction.probs)])
        if self._segments:
            for start, end, probs in segments_of(prediction, self.clip_seconds):
                self._segments.writerow([name, start, end, *self._rated(probs)])

    def _rated(self, probs: Tensor) -> list[str]:
        genre = spreadsheet_cell(genres_named(probs, self.classes, self.task == "multilabel"))
        return [genre, *(f"{prob:.6f}" for prob in probs.tolist())]


class JSONLinesWriter(ExitStack):
    """Writes JSON Lines: for each song path, seconds, status, genre, most probable genres and, on request, clips."""

    def __init__(
        self, path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top_k: int
    ) -> None:
        super().__init__()
        self._arguments = (classes, task, top_k, segments, clip_seconds)
        self._file = self.enter_context(path.open("w", 1, encoding="utf-8"))

    def write(self, path: Path, prediction: SongPrediction) -> None:
        """Write the prediction of a file."""
        self._file.write(json.dumps({"path": str(path), **prediction_as_dict(prediction, *self._arguments)}) + "\n")


def open_writer(
    path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top_k: int
) -> CSVWriter | JSONLinesWriter:
    """Open a file in the format of its suffix; each row is written to the disk at once.

    Args:
        path: File that ends in .csv or .jsonl; its folder is made.
        classes: Class names.
        task: Task of the model.
        segments: Whether to write the clips, too.
        clip_seconds: Length of a clip, s.
        top_k: Number of genres in JSON; a CSV has all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        return CSVWriter(path, classes, task, segments, clip_seconds)
    return JSONLinesWriter(path, classes, task, segments, clip_seconds, top_k)


class EmbeddingsWriter:
    """Writes arrays of songs: path, (s,), embedding, (s, d), probs, (s, c), classes, (c,), fingerprint of the model.

    The file is replaced at the end, if no error occurred and there is at least one song.
    """

    def __init__(self, path: Path, model: GenreClassifier) -> None:
        self._path, self._model = path, model
        self._part = path.with_name(f"{path.name}.part")
        self._songs: list[str] = []
        self._predictions: list[SongPrediction] = []

    def write(self, path: Path, prediction: SongPrediction) -> None:
        """Add the prediction of a file."""
        self._songs.append(os.path.abspath(path))
        self._predictions.append(prediction._replace(clip_probs=torch.empty(0)))  # There may be thousands of clips.

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Removed first: a file of a killed process, or a link that would be followed.
        self._part.unlink(missing_ok=True)
        self._part.touch()  # Fails now, and not after hours of decoding, if the folder is not writable.
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._songs:
                with self._part.open("wb") as file:
                    np.savez(
                        file,
                        path=np.array(self._songs),
                        embedding=torch.stack([prediction.embedding for prediction in self._predictions]).numpy(),
                        probs=torch.stack([prediction.probs for prediction in self._predictions]).numpy(),
                        classes=np.array(list(self._model.classes)),
                        model=np.array(fingerprint(self._model)),
                    )
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)


def fingerprint(model: GenreClassifier) -> str:
    """Return a digest of the weights of a model.

    Args:
        model: The model.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def as_table(rows: Sequence[tuple[Path, SongPrediction]], classes: Sequence[str], top_k: int) -> Table:
    """Build a table of songs with their most probable genres.

    Args:
        rows: Path and prediction of each song.
        classes: Class names.
        top_k: Number of genres.

    Returns:
        The table, for the console.
    """
    table = Table(Column("song", overflow="fold"), "length", "genres")
    for path, prediction in rows:
        genres = ", ".join(f"{name} {prob:.0%}" for name, prob in ranked(prediction.probs, classes, top_k).items())
        table.add_row(readable(path.name), clock(prediction.seconds), one_line(genres))
    return table


def clock(seconds: float) -> str:
    """Format a length of time.

    >>> clock(4000.4)
    '1:06:40'
    >>> clock(75)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
