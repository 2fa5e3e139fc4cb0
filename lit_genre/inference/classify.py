"""The command `classify`: the genres of anyone's music, by one checkpoint."""

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
_SHOWN: Final = 40


def run(args: Sequence[str]) -> None:
    """Run the command; the words are not for jsonargparse, which takes names of files for YAML."""
    options = _parser().parse_args(args)
    batch_size = 1 if options.batch_size is None else options.batch_size
    check_at_least(top=(options.top_k, 1), workers=(options.workers, 1), batch_size=(batch_size, 1))
    if options.output and options.output.suffix not in FORMATS:
        raise LitGenreError(f"--output {readable(options.output)}: the name must end in {' or '.join(FORMATS)}.")
    if options.embeddings and options.embeddings.suffix != ".npz":
        raise LitGenreError(f"--embeddings {readable(options.embeddings)}: the name must end in .npz.")
    if options.segments and not options.output:
        raise LitGenreError("--segments is written to a file: name one by --output.")
    classify(options)


def classify(options: argparse.Namespace) -> None:
    """Predict each file, write what is asked for, and report at the end what could not be read."""
    scan = find_audio_files(options.paths)
    for line in describe_left_out(scan.left_out):
        console.print(line)
    files = scan.files
    model = load_model(options.checkpoint, trust=options.trust, device=find_device(options.device))
    songs = SongClips(
        files, model.sample_rate, model.clip_samples, options.batch_size or batch_size_of(model), options.workers
    )
    answers: list[SongPrediction] = []
    with ExitStack() as files_written:
        writer: CSVWriter | JSONLinesWriter | None = None
        embeddings: EmbeddingsWriter | None = None
        if options.output:
            about = (model.classes, model.task, options.segments, model.clip_samples / model.sample_rate, options.top_k)
            writer = open_writer(options.output, *about)
            files_written.enter_context(writer)
        if options.embeddings:
            embeddings = files_written.enter_context(EmbeddingsWriter(options.embeddings, model))
        for answer in _with_progress(model, songs):
            if writer:
                writer.write(files[answer.position], answer)
            if embeddings:
                embeddings.write(files[answer.position], answer)
            answers.append(answer._replace(embedding=torch.empty(0), clip_probs=torch.empty(0)))
    _report(options, model, songs, answers)


def batch_size_of(model: GenreClassifier) -> int:
    """Choose a batch: on a CPU a small one is as fast, and needs no memory."""
    kind = "cpu" if model.device.type == "cpu" else "accelerator"
    return max(1, int(_SECONDS_A_BATCH[kind] * model.sample_rate / model.clip_samples))


def _with_progress(model: GenreClassifier, songs: SongClips) -> Iterator[SongPrediction]:
    done = 0
    with quiet_c_stderr(), progress("Listening", len(songs.files), "songs") as advance:
        for answer in predict_songs(model, songs, songs.seconds, songs.statuses):
            while done <= answer.position:
                advance()
                done += 1
            yield answer
        for _ in range(done, len(songs.files)):
            advance()


def _report(
    options: argparse.Namespace, model: GenreClassifier, songs: SongClips, answers: list[SongPrediction]
) -> None:
    files = songs.files
    rows = [(files[answer.position], answer) for answer in answers]
    if rows:
        shown = rows[:_SHOWN] if options.output else rows
        console.print(as_table(shown, model.classes, options.top_k))
        if len(shown) < len(rows):
            console.print(f"and {len(rows) - len(shown):,} more in {readable(options.output)}")
    report_incomplete(files, songs.statuses, songs.seconds)
    for path in (options.output, options.embeddings if answers else None):
        if path:
            console.print(f"Written: {readable(path)}")
    if songs.failures:
        report_unreadable(files, songs.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre classify",
        description="Name the genres of music files by a trained model. Each file is heard from beginning to end.",
        epilog=f"Exit status: 0, all files were read; {SOME_UNREADABLE}, some could not be; 1, none could.",
        allow_abbrev=False,
    )
    add_model_arguments(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files, and folders that hold some")
    parser.add_argument("--output", type=Path, help="write .csv or .jsonl, by its name, over what is there")
    parser.add_argument("--top_k", type=int, default=3, help="genres to name for each file (default: %(default)s)")
    parser.add_argument("--segments", action="store_true", help="write what is heard in each clip of a file, too")
    parser.add_argument("--embeddings", type=Path, help="write how the model heard each file: .npz, for similar")
    parser.add_argument("--batch_size", type=int, help="clips at once (default: as many as fill 20 s on a CPU)")
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="threads that decode (default: %(default)s)"
    )
    return parser
