"""The command `classify`: the genres of anyone's music, by one checkpoint."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import torch

from lit_genre.allocator import keep_freed_memory
from lit_genre.answer.listen import Answer, listen
from lit_genre.answer.tables import as_table, open_writer, write_embeddings
from lit_genre.console import console, progress, quiet_c_stderr
from lit_genre.data.songs import SOME_UNREADABLE, SongClips, find_songs, readable, report_unreadable
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.load import add_model_arguments, find_device, load_model
from lit_genre.model.classifier import GenreClassifier

_SECONDS_A_BATCH: Final = {"cpu": 60.0, "accelerator": 960.0}
_SHOWN: Final = 40


def run(args: Sequence[str]) -> None:
    """Run the command; the words are not for jsonargparse, which takes names of files for YAML."""
    options = _parser().parse_args(args)
    check_at_least(top=(options.top, 1), workers=(options.workers, 1), batch_size=(options.batch_size or 1, 1))
    classify(options)


def classify(options: argparse.Namespace) -> None:
    """Answer about each file, write what is asked for, and say at the end what could not be read."""
    files = find_songs(options.paths)
    device = find_device(options.device)
    if device.type == "cpu":
        keep_freed_memory()
    model = load_model(options.checkpoint, trust=options.trust, device=device)
    songs = SongClips(
        files, model.sample_rate, model.clip_samples, options.batch_size or batch_size_of(model), options.workers
    )
    clip_seconds = model.clip_samples / model.sample_rate
    writer = (
        open_writer(options.output, model.classes, model.task, options.over_time, clip_seconds, options.top)
        if options.output
        else nullcontext()
    )
    if options.embeddings and options.embeddings.suffix != ".npz":
        raise LitGenreError(f"--embeddings {readable(options.embeddings)}: the name must end in .npz.")
    answers: list[Answer] = []
    with writer as table:
        for answer in _with_progress(model, songs):
            answers.append(answer if options.embeddings else answer._replace(embedding=torch.empty(0)))
            if table is not None:
                table.write(files[answer.position], answer)
    _report(options, model, songs, answers)


def batch_size_of(model: GenreClassifier) -> int:
    """Choose a batch: on a CPU a small one is as fast, and needs no memory."""
    kind = "cpu" if model.device.type == "cpu" else "accelerator"
    return max(1, int(_SECONDS_A_BATCH[kind] * model.sample_rate / model.clip_samples))


def _with_progress(model: GenreClassifier, songs: SongClips) -> Iterator[Answer]:
    done = 0
    with quiet_c_stderr(), progress("Listening", len(songs.files), "songs") as advance:
        for answer in listen(model, songs):
            while done <= answer.position:
                advance()
                done += 1
            yield answer
        for _ in range(done, len(songs.files)):
            advance()


def _report(options: argparse.Namespace, model: GenreClassifier, songs: SongClips, answers: list[Answer]) -> None:
    files = songs.files
    rows = [(files[answer.position], answer) for answer in answers]
    if rows:
        shown = rows[:_SHOWN] if options.output else rows
        console.print(as_table(shown, model.classes, options.top))
        if len(shown) < len(rows):
            console.print(f"and {len(rows) - len(shown):,} more in {readable(options.output)}", markup=False)
    if options.embeddings and answers:
        write_embeddings(options.embeddings, [path for path, _ in rows], answers, model.classes)
    for path in (options.output, options.embeddings):
        if path:
            console.print(f"Written: {readable(path)}", markup=False)
    if songs.failures:
        report_unreadable(files, songs.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre classify",
        description="Name the genres of music files by a trained model. Each file is heard from beginning to end.",
        epilog=f"Exit status: 0, all were read; {SOME_UNREADABLE}, some could not be, as the end of the output says.",
        allow_abbrev=False,
    )
    add_model_arguments(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="audio files, and folders that hold some")
    parser.add_argument("--output", type=Path, help="write .csv or .jsonl, by its name")
    parser.add_argument("--top", type=int, default=3, help="genres to name for each file (default: %(default)s)")
    parser.add_argument("--over_time", action="store_true", help="write what is heard in each clip of a file, too")
    parser.add_argument("--embeddings", type=Path, help="write how the model heard each file: .npz, for similar")
    parser.add_argument("--batch_size", type=int, help="clips at once (default: as many as fill 60 s on a CPU)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode (default: cores)")
    return parser
