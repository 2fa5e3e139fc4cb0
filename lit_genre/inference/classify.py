"""Predict the genres of audio files, write them, and sort the files."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import torch

from lit_genre.console import console, progress, quiet_c_stderr, results
from lit_genre.data.loading.streaming import SongClips
from lit_genre.data.metadata.audio_files import (
    describe_left_out,
    find_audio_files,
    readable,
    report_incomplete,
    report_unreadable,
)
from lit_genre.inference import STDOUT
from lit_genre.inference.describe import describe_trained
from lit_genre.inference.library import EmbeddingsWriter
from lit_genre.inference.load import find_device, load_model
from lit_genre.inference.predictor import SongPrediction, default_batch_size, predict_songs
from lit_genre.inference.sort_files import plan_moves, sort_files
from lit_genre.inference.table import prediction_table
from lit_genre.inference.writers import (
    CSVWriter,
    JSONLinesWriter,
    open_writer,
)
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.locate import find_checkpoint

_MAX_CONSOLE_ROWS: Final = 40
"""Rows of the table on the console if `--output` stores all rows in a file."""


def classify(options: argparse.Namespace) -> None:
    """Predict each file, write the tables, and report the unreadable files at the end.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: There is no audio file, the model cannot be loaded, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    # First: without files, no model is loaded.
    files = _find_files(options.paths)
    source = Path(options.ckpt_path).expanduser()
    source = source if source.is_dir() else find_checkpoint(options.ckpt_path)
    model = load_model(source, trust=options.trust, device=find_device(options.device))
    if options.temperature is not None:
        model.set_temperature(options.temperature)
    _classify(model, describe_trained(model, source), files, options)


def classify_with(load: Callable[[], GenreClassifier], description: str, options: argparse.Namespace) -> None:
    """Predict each file by a model that is no checkpoint.

    Args:
        load: Returns the model, in evaluation mode.
        description: A line about the model, for the console.
        options: Parsed arguments of the command, those of `add_files`.

    Raises:
        LitGenreError: There is no audio file, the model cannot be loaded, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    files = _find_files(options.paths)
    _classify(load().to(find_device(options.device)), description, files, options)


def _find_files(paths: list[Path]) -> list[Path]:
    scan = find_audio_files(paths)
    for line in describe_left_out(scan.left_out):
        console.print(line)
    return scan.files


def _classify(model: GenreClassifier, description: str, files: list[Path], options: argparse.Namespace) -> None:
    console.print(description)
    batch_size = options.batch_size or default_batch_size(model)
    songs = SongClips(files, model.sample_rate, model.clip_samples, batch_size, options.workers)
    predictions: list[SongPrediction] = []
    with ExitStack() as output_files:
        writer: CSVWriter | JSONLinesWriter | None = None
        embeddings: EmbeddingsWriter | None = None
        if options.output:
            clip_seconds = model.clip_samples / model.sample_rate
            writer = open_writer(
                options.output,
                options.format,
                model.classes,
                model.task,
                options.segments,
                clip_seconds,
                options.top_k,
            )
            output_files.enter_context(writer)
        if options.embeddings:
            embeddings = output_files.enter_context(EmbeddingsWriter(options.embeddings, model))
        for prediction in _with_progress(model, songs):
            if writer:
                writer.write(files[prediction.position], prediction)
            if embeddings:
                embeddings.write(files[prediction.position], prediction)
            # The console needs neither, and the clips of many songs would fill the memory.
            predictions.append(prediction._replace(embedding=torch.empty(0), clip_probs=torch.empty(0)))
    _report(options, model, songs, predictions)


def _sort(options: argparse.Namespace, model: GenreClassifier, rows: list[tuple[Path, SongPrediction]]) -> None:
    """Copy or move the files into folders of their most probable genre."""
    # `tags` has neither option.
    is_copy = bool(getattr(options, "copy", None))
    if folder := getattr(options, "copy", None) or getattr(options, "move", None):
        genres = ((path, model.classes[int(prediction.probs.argmax())]) for path, prediction in rows)
        moves = plan_moves(genres, folder)
        sort_files(moves, "copy" if is_copy else "move", options.yes)


def _with_progress(model: GenreClassifier, songs: SongClips) -> Iterator[SongPrediction]:
    """Predict songs and show the progress, which also counts files that could not be read."""
    done = 0
    # Decoding libraries written in C print warnings about damaged files directly to stderr.
    with quiet_c_stderr(), progress("Predicting", len(songs.files), "tracks") as advance:
        for prediction in predict_songs(model, songs, songs.seconds, songs.statuses):
            while done <= prediction.position:
                advance()
                done += 1
            yield prediction
        for _ in range(done, len(songs.files)):
            advance()


def _report(
    options: argparse.Namespace, model: GenreClassifier, songs: SongClips, predictions: list[SongPrediction]
) -> None:
    """Print the predictions, then the incomplete, written and unreadable files."""
    files = songs.files
    rows = [(files[prediction.position], prediction) for prediction in predictions]
    is_piped = options.output == STDOUT
    if rows and not is_piped:
        console_rows = rows[:_MAX_CONSOLE_ROWS] if options.output else rows
        column = "tags" if "tagger" in options else "genres"
        results.print(prediction_table(console_rows, model.classes, options.top_k, column))
        if len(console_rows) < len(rows):
            results.print(f"and {len(rows) - len(console_rows):,} more in {readable(options.output)}")
    report_incomplete(files, songs.statuses, songs.seconds)
    # Without a readable file there are no embeddings, and `EmbeddingsWriter` keeps an existing file.
    for path in (None if is_piped else options.output, options.embeddings if predictions else None):
        if path:
            console.print(f"Written: {readable(path)}")
    _sort(options, model, rows)
    if songs.failures:
        report_unreadable(files, songs.failures)
