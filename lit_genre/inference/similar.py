"""The command `similar`: which songs a model heard alike, by the embeddings that `classify --embeddings` wrote."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table

from lit_genre.console import console
from lit_genre.data.loading.streaming import SongClips
from lit_genre.data.metadata.audio_files import readable
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.inference.classify import batch_size_of
from lit_genre.inference.load import add_trust_argument, find_device, load_model
from lit_genre.inference.predictor import predict_songs
from lit_genre.inference.writers import fingerprint
from lit_genre.text import one_line


def run(args: Sequence[str]) -> None:
    """Run the command; the words are not for jsonargparse, which takes names of files for YAML."""
    options = _parser().parse_args(args)
    check_at_least(count=(options.count, 1))
    library = _read(options.embeddings)
    place = _find(options.song, library.paths, by_end=not (options.checkpoint and options.song.exists()))
    if place is not None:
        song = library.embeddings[place]
        console.print(f"Like {readable(library.paths[place])}:")
    elif options.checkpoint:
        song = _embed(options, library.model)
    else:
        raise LitGenreError(
            f"{readable(options.song)} is none of the {len(library.paths):,} songs of {options.embeddings}. Name one "
            "as it is written there, or the checkpoint that wrote it too, by --checkpoint, to have this one heard."
        )
    alike = similarity(library.embeddings, song)
    order = [number for number in np.argsort(-alike, kind="stable").tolist() if number != place][: options.count]
    table = Table("alike", Column("song", overflow="fold"), "genre")
    for number in order:
        table.add_row(f"{alike[number]:.3f}", readable(library.paths[number]), one_line(library.genres[number]))
    console.print(table)


def similarity(embeddings: NDArray[np.float32], song: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of the angle between embeddings and that of a song, -1 to 1, both measured from the mean of all.

    Args:
        embeddings: Shape (s, d).
        song: Shape (d,).

    Returns:
        Shape (s,).
    """
    middle = embeddings.mean(0)
    rows, row = embeddings - middle, song - middle
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    return np.asarray(rows @ row / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


class _Library(NamedTuple):
    """What `classify --embeddings` wrote.

    Attributes:
        paths: Of the songs.
        embeddings: Shape (s, d).
        genres: Most probable genre of each.
        model: Fingerprint of the model.
    """

    paths: list[str]
    embeddings: NDArray[np.float32]
    genres: list[str]
    model: str


def _read(path: Path) -> _Library:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = ("path", "embedding", "classes", "probs", "model")
            paths, embeddings, classes, probs, model = (arrays[name] for name in names)
        genres = [str(classes[place]) for place in probs.argmax(1)]
        if not (embeddings.dtype == np.float32 and embeddings.ndim == 2 and np.isfinite(embeddings).all()):
            raise ValueError("its embeddings are no finite numbers")
        if not len(paths) == len(embeddings) == len(genres):
            raise ValueError("its arrays do not match")
    except Exception as error:  # Of numpy, of zipfile; a file of anyone's.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise LitGenreError(f"{path} is no file that lit-genre classify --embeddings wrote: {error}") from error
    return _Library([str(name) for name in paths], embeddings, genres, str(model))


def _find(song: Path, paths: list[str], by_end: bool) -> int | None:
    """Find a song by its whole path, or by as much of its end as no other has."""
    whole = os.path.abspath(song)
    if whole in paths:
        return paths.index(whole)
    ends = [number for number, path in enumerate(paths) if Path(path).parts[-len(song.parts) :] == song.parts]
    if not ends or not by_end:
        return None
    if len(ends) > 1:
        some = ", ".join(readable(paths[number]) for number in ends[:3])
        raise LitGenreError(f"{readable(song)} may be any of {len(ends)} songs, such as {some}: name its folder too.")
    return ends[0]


def _embed(options: argparse.Namespace, model: str) -> NDArray[np.float32]:
    heard_by = load_model(options.checkpoint, trust=options.trust, device=find_device(options.device))
    if fingerprint(heard_by) != model:
        raise LitGenreError(
            f"{options.checkpoint} is not the model that wrote {options.embeddings}, whose numbers mean something "
            "else: name that one."
        )
    songs = SongClips([options.song], heard_by.sample_rate, heard_by.clip_samples, batch_size_of(heard_by), workers=1)
    answers = list(predict_songs(heard_by, songs, songs.seconds, songs.statuses))
    if not answers:
        raise LitGenreError(f"{readable(options.song)} cannot be read: {songs.failures[0]}.")
    return np.asarray(answers[0].embedding.numpy())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre similar",
        description="Name the songs that a model heard most like one of them, or like any file.",
        allow_abbrev=False,
    )
    parser.add_argument("embeddings", metavar="EMBEDDINGS", type=Path, help="what classify --embeddings wrote")
    parser.add_argument("song", metavar="SONG", type=Path, help="one of its songs, or any file, with --checkpoint")
    parser.add_argument("--count", type=int, default=10, help="songs to name (default: %(default)s)")
    parser.add_argument("--checkpoint", help="the checkpoint that heard them, for a song that is none of them")
    parser.add_argument("--device", default="auto", help="where to hear it (default: %(default)s)")
    add_trust_argument(parser)
    return parser
