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
from lit_genre.inference.load import add_model_arguments, find_device, load_model
from lit_genre.inference.predictor import SongPrediction, predict_songs
from lit_genre.inference.writers import (
    FORMATS,
    CSVWriter,
    EmbeddingsWriter,
    JSONLinesWriter,
    as_table,
    open_writer,
)
from lit_genre.model.classifier import GenreClassifier

_SECONDS_A_BATCH: Final = {"cpu": 20.0, "accelerator": 960.0}
"""Audio in a batch, s: one batch of 30 s clips or so on a CPU, 32 of them on an accelerator."""

_SHOWN: Final = 40
"""Rows of the table on the console if all rows are in a file."""


def run(args: Sequence[str]) -> None:
    """Run the command, with argparse: jsonargparse would read arguments that are files as YAML."""
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
    """Predict each file, write the tables, and report at the end the files that could not be read."""
    scan = find_audio_files(options.paths)
    for line in describe_left_out(scan.left_out):
        console.print(line)
    files = scan.files
    model = load_model(options.checkpoint, trust=options.trust, device=find_device(options.device))
    songs = SongClips(
        files, model.sample_rate, model.clip_samples, options.batch_size or batch_size_of(model), options.workers
    )
    predictions: list[SongPrediction] = []
    with ExitStack() as files_written:
        writer: CSVWriter | JSONLinesWriter | None = None
        embeddings: EmbeddingsWriter | None = None
        if options.output:
            about = (model.classes, model.task, options.segments, model.clip_samples / model.sample_rate, options.top_k)
            writer = open_writer(options.output, *about)
            files_written.enter_context(writer)
        if options.embeddings:
            embeddings = files_written.enter_context(EmbeddingsWriter(options.embeddings, model))
        for prediction in _with_progress(model, songs):
            if writer:
                writer.write(files[prediction.position], prediction)
            if embeddings:
                embeddings.write(files[prediction.position], prediction)
            predictions.append(prediction._replace(embedding=torch.empty(0), clip_probs=torch.empty(0)))
    _report(options, model, songs, predictions)


def batch_size_of(model: GenreClassifier) -> int:
    """Return the number of clips in a batch: on a CPU, small batches are as fast and need less memory."""
    kind = "cpu" if model.device.type == "cpu" else "accelerator"
    return max(1, int(_SECONDS_A_BATCH[kind] * model.sample_rate / model.clip_samples))


def _with_progress(model: GenreClassifier, songs: SongClips) -> Iterator[SongPrediction]:
    done = 0
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
    files = songs.files
    rows = [(files[prediction.position], prediction) for prediction in predictions]
    if rows:
        shown = rows[:_SHOWN] if options.output else rows
        console.print(as_table(shown, model.classes, options.top_k))
        if len(shown) < len(rows):
            console.print(f"and {len(rows) - len(shown):,} more in {readable(options.output)}")
    report_incomplete(files, songs.statuses, songs.seconds)
    for path in (options.output, options.embeddings if predictions else None):
        if path:
            console.print(f"Written: {readable(path)}")
    if songs.failures:
        report_unreadable(files, songs.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre classify",
        description="Predict the genre of each file, or of each audio file in a folder, from the whole recording.",
        epilog=f"Exit status: 0, all files were read; {SOME_UNREADABLE}, some could not be; 1, none could.",
        allow_abbrev=False,
    )
    add_model_arguments(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files and folders")
    parser.add_argument("--output", type=Path, help="write a .csv or .jsonl file; an existing file is replaced")
    parser.add_argument("--top_k", type=int, default=3, help="number of genres for each file (default: %(default)s)")
    parser.add_argument("--segments", action="store_true", help="write the prediction of each clip of a file, too")
    parser.add_argument("--embeddings", type=Path, help="write the embedding of each file: .npz, for `similar`")
    parser.add_argument("--batch_size", type=int, help="clips in a batch (default: 20 s of audio on a CPU)")
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="threads that decode (default: %(default)s)"
    )
    return parser
