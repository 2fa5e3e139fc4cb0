"""Answers as files and on the console: a row for each song, and one for each moment of it."""

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


def ranked(probs: Tensor, classes: Sequence[str], top: int) -> dict[str, float]:
    """Name the most probable genres, with their probabilities, the greatest first."""
    values, places = probs.topk(min(top, len(classes)))
    return {classes[place]: round(value, 6) for value, place in zip(values.tolist(), places.tolist(), strict=True)}


def prediction_as_dict(
    answer: SongPrediction, classes: Sequence[str], task: Task, top: int, segments: bool, clip_seconds: float
) -> dict[str, Any]:
    """Describe an answer by plain data."""
    row: dict[str, Any] = {
        "seconds": round(answer.seconds, 3),
        **_completeness(answer),
        **_rated(answer.probs, classes, task, top),
    }
    if segments:
        row["segments"] = [
            {"start": start, "end": end, **_rated(probs, classes, task, top)}
            for start, end, probs in segments_of(answer, clip_seconds)
        ]
    return row


def _completeness(answer: SongPrediction) -> dict[str, Any]:
    """Describe how much of a song was decoded."""
    return {"status": answer.status.kind, "seconds_lost": answer.status.seconds_lost}


def _rated(probs: Tensor, classes: Sequence[str], task: Task, top: int) -> dict[str, Any]:
    return {"genre": genres_named(probs, classes, task == "multilabel"), "genres": ranked(probs, classes, top)}


def segments_of(answer: SongPrediction, clip_seconds: float) -> list[tuple[float, float, Tensor]]:
    """List the clips of a song: begin and end, s, and probabilities."""
    ends = (answer.starts + clip_seconds).clamp(max=answer.seconds)
    begin, end = ([round(value, 3) for value in column.tolist()] for column in (answer.starts, ends))
    return list(zip(begin, end, answer.clip_probs, strict=True))


class CSVWriter(ExitStack):
    """A row for each song, all genres with their probabilities; the moments in a second file beside it."""

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
        # A name that is no UTF-8 is written with its bytes as \udcff.
        file = self.enter_context(path.open("w", 1, newline="", encoding="utf-8", errors="backslashreplace"))
        # With its default ends of lines, for only then a \r in a name is quoted.
        table = csv.writer(file)
        table.writerow(map(spreadsheet_cell, columns))
        return table

    def write(self, path: Path, answer: SongPrediction) -> None:
        """Write the answer about one file."""
        name = spreadsheet_cell(str(path))
        completeness = _completeness(answer).values()
        self._songs.writerow([name, f"{answer.seconds:.3f}", *completeness, *self._rated(answer.probs)])
        if self._segments:
            for start, end, probs in segments_of(answer, self.clip_seconds):
                self._segments.writerow([name, start, end, *self._rated(probs)])

    def _rated(self, probs: Tensor) -> list[str]:
        genre = spreadsheet_cell(genres_named(probs, self.classes, self.task == "multilabel"))
        return [genre, *(f"{prob:.6f}" for prob in probs.tolist())]


class JSONLinesWriter(ExitStack):
    """An object a line for each song: path, seconds, status, genre, the most probable genres, and the moments."""

    def __init__(
        self, path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top: int
    ) -> None:
        super().__init__()
        self._about = (classes, task, top, segments, clip_seconds)
        self._file = self.enter_context(path.open("w", 1, encoding="utf-8"))

    def write(self, path: Path, answer: SongPrediction) -> None:
        """Write the answer about one file."""
        self._file.write(json.dumps({"path": str(path), **prediction_as_dict(answer, *self._about)}) + "\n")


def open_writer(
    path: Path, classes: Sequence[str], task: Task, segments: bool, clip_seconds: float, top: int
) -> CSVWriter | JSONLinesWriter:
    """Open a file of the format that its name says; rows are there as soon as they are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        return CSVWriter(path, classes, task, segments, clip_seconds)
    return JSONLinesWriter(path, classes, task, segments, clip_seconds, top)


class EmbeddingsWriter:
    """Arrays of songs: path, shape (s,), embedding, (s, d), probs, (s, c), classes, (c,), and the model's fingerprint.

    They replace what is there at the end, and only if any song was heard and nothing failed.
    """

    def __init__(self, path: Path, model: GenreClassifier) -> None:
        self._path, self._model = path, model
        self._part = path.with_name(f"{path.name}.part")
        self._songs: list[str] = []
        self._answers: list[SongPrediction] = []

    def write(self, path: Path, answer: SongPrediction) -> None:
        """Take the answer about one file."""
        self._songs.append(os.path.abspath(path))
        self._answers.append(answer._replace(clip_probs=torch.empty(0)))  # which may be many

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process left, or a link that would be followed.
        self._part.unlink(missing_ok=True)
        self._part.touch()  # A place that cannot be written to is noticed before hours of decoding.
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._songs:
                with self._part.open("wb") as file:
                    np.savez(
                        file,
                        path=np.array(self._songs),
                        embedding=torch.stack([answer.embedding for answer in self._answers]).numpy(),
                        probs=torch.stack([answer.probs for answer in self._answers]).numpy(),
                        classes=np.array(list(self._model.classes)),
                        model=np.array(fingerprint(self._model)),
                    )
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)


def fingerprint(model: GenreClassifier) -> str:
    """Tell models apart by their weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def as_table(rows: Sequence[tuple[Path, SongPrediction]], classes: Sequence[str], top: int) -> Table:
    """Show songs with their most probable genres."""
    table = Table(Column("song", overflow="fold"), "length", "genres")
    for path, answer in rows:
        genres = ", ".join(f"{name} {prob:.0%}" for name, prob in ranked(answer.probs, classes, top).items())
        table.add_row(readable(path.name), clock(answer.seconds), one_line(genres))
    return table


def clock(seconds: float) -> str:
    """Write a length of time.

    >>> clock(4000.4)
    '1:06:40'
    >>> clock(75)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
