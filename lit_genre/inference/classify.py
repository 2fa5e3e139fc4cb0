"""The command `classify`: predict the genres of audio files."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import torch

from lit_genre.console import console, progress, quiet_c_stderr
from lit_genre.data.loading.streaming import SongClips
from lit_genre.data.metadata.audio_files import (
    SOME_UNREADABLE,
    describe_left_out,
    find_audio_files,
    readable,
    report_incomplete,
    report_unreadable,
)
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.inference.library import EmbeddingsWriter
from lit_genre.inference.load import add_model_arguments, find_device, load_model
from lit_genre.inference.predictor import SongPrediction, default_batch_size, predict_songs
from lit_genre.inference.writers import (
    FORMATS,
    CSVWriter,
    JSONLinesWriter,
    open_writer,
    prediction_table,
)
from lit_genre.model.classifier import GenreClassifier

_MAX_CONSOLE_ROWS: Final = 40
"""Rows of the table on the console if `--output` stores all rows in a file."""


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments of the command line, without the name of the command.

    Raises:
        LitGenreError: An argument is wrong, the model cannot be loaded, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    # With argparse: jsonargparse would read arguments that are paths of files as YAML.
    options = _parser().parse_args(args)
    batch_size = 1 if options.batch_size is None else options.batch_size
    check_at_least(top_k=(options.top_k, 1), workers=(options.workers, 1), batch_size=(batch_size, 1))
    if options.output and options.output.suffix not in FORMATS:
        raise LitGenreError(f"--output {readable(options.output)}: the name must end in {' or '.join(FORMATS)}.")
    if options.embeddings and options.embeddings.suffix != ".npz":
        raise LitGenreError(f"--embeddings {readable(options.embeddings)}: the name must end in .npz.")
    if options.segments and not options.output:
        raise LitGenreError("--segments needs a file. Set --output.")
    classify(options)


def classify(options: argparse.Namespace) -> None:
    """Predict each file, write the tables, and report the unreadable files at the end.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: There is no audio file, the model cannot be loaded, or a file cannot be written.
        SystemExit: Some files could not be read; its status is `SOME_UNREADABLE`, or 1 if none could.
    """
    scan = find_audio_files(options.paths)
    for line in describe_left_out(scan.left_out):
        console.print(line)
    files = scan.files
    model = load_model(options.checkpoint, trust=options.trust, device=find_device(options.device))
    batch_size = options.batch_size or default_batch_size(model)
    songs = SongClips(files, model.sample_rate, model.clip_samples, batch_size, options.workers)
    predictions: list[SongPrediction] = []
    with ExitStack() as output_files:
        writer: CSVWriter | JSONLinesWriter | None = None
        embeddings: EmbeddingsWriter | None = None
        if options.output:
            clip_seconds = model.clip_samples / model.sample_rate
            writer = open_writer(
                options.output, model.classes, model.task, options.segments, clip_seconds, options.top_k
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
    if rows:
        console_rows = rows[:_MAX_CONSOLE_ROWS] if options.output else rows
        console.print(prediction_table(console_rows, model.classes, options.top_k))
        if len(console_rows) < len(rows):
            console.print(f"and {len(rows) - len(console_rows):,} more in {readable(options.output)}")
    report_incomplete(files, songs.statuses, songs.seconds)
    # Without a readable file there are no embeddings, and `EmbeddingsWriter` keeps an existing file.
    for path in (options.output, options.embeddings if predictions else None):
        if path:
            console.print(f"Written: {readable(path)}")
    if songs.failures:
        report_unreadable(files, songs.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre classify",
        description="Predict the genre of each file, or of each audio file in a folder, from the whole recording.",
        epilog=f"Exit status: 0 if all files were read, {SOME_UNREADABLE} if some could not be read, 1 if none could.",
        allow_abbrev=False,
    )
    add_model_arguments(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files and folders")
    parser.add_argument("--output", type=Path, help="write a .csv or .jsonl file; an existing file is replaced")
    parser.add_argument("--top_k", type=int, default=3, help="number of genres of each file (default: %(default)s)")
    parser.add_argument("--segments", action="store_true", help="also write the prediction of each clip")
    parser.add_argument(
        "--embeddings", type=Path, help="write the embedding of each file to an .npz file, for `similar`"
    )
    parser.add_argument("--batch_size", type=int, help="clips in a batch (default: 20 s of audio on a CPU)")
    # `SongClips` keeps up to `workers` + 1 decoded songs, so a limit matters on machines with many cores.
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="decoding threads (default: %(default)s)"
    )
    return parser
