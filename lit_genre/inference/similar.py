"""The command `similar`: list songs with similar embeddings, from a file of `classify --embeddings`."""

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
    """Run the command, with argparse: jsonargparse would read arguments that are files as YAML."""
    options = _parser().parse_args(args)
    check_at_least(top_k=(options.top_k, 1))
    library = _read(options.embeddings)
    position = _find(options.song, library.paths, by_end=not (options.ckpt_path and options.song.exists()))
    if position is not None:
        song = library.embeddings[position]
        console.print(f"Most similar to {readable(library.paths[position])}:")
    elif options.ckpt_path:
        song = _embed(options, library.model)
    else:
        raise LitGenreError(
            f"{readable(options.song)} is not one of the {len(library.paths):,} songs of {options.embeddings}. Use a "
            "path in that file, or set --ckpt_path to the checkpoint that wrote it, to embed another file."
        )
    cosines = similarity(library.embeddings, song)
    order = [index for index in np.argsort(-cosines, kind="stable").tolist() if index != position][: options.top_k]
    table = Table("similarity", Column("song", overflow="fold"), "genre")
    for index in order:
        table.add_row(f"{cosines[index]:.3f}", readable(library.paths[index]), one_line(library.genres[index]))
    console.print(table)


def similarity(embeddings: NDArray[np.float32], song: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the cosine similarity of embeddings and the embedding of a song, after subtracting the mean of all.

    Without the subtraction all similarities would be near 1: the embeddings of a network share a large mean.

    Args:
        embeddings: Embeddings, float32, shape (s, d).
        song: Embedding of the song, float32, shape (d,).

    Returns:
        Similarities, -1 to 1, float32, shape (s,).
    """
    mean = embeddings.mean(0)
    rows, row = embeddings - mean, song - mean
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    return np.asarray(rows @ row / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


class _Library(NamedTuple):
    """Content of a file of `classify --embeddings`.

    Attributes:
        paths: Paths of the songs.
        embeddings: Embeddings, float32, shape (s, d).
        genres: Most probable genre of each song.
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
        genres = [str(classes[index]) for index in probs.argmax(1)]
        if not (embeddings.dtype == np.float32 and embeddings.ndim == 2 and np.isfinite(embeddings).all()):
            raise ValueError("its embeddings are not finite numbers")
        if not len(paths) == len(embeddings) == len(genres):
            raise ValueError("its arrays do not match")
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged or foreign file.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise LitGenreError(f"{path} is not a file of lit-genre classify --embeddings: {error}") from error
    return _Library([str(name) for name in paths], embeddings, genres, str(model))


def _find(song: Path, paths: list[str], by_end: bool) -> int | None:
    """Return the position of a song by its whole path, or by the end of its path if no other song has it."""
    whole = os.path.abspath(song)
    if whole in paths:
        return paths.index(whole)
    matches = [index for index, path in enumerate(paths) if Path(path).parts[-len(song.parts) :] == song.parts]
    if not matches or not by_end:
        return None
    if len(matches) > 1:
        some = ", ".join(readable(paths[index]) for index in matches[:3])
        raise LitGenreError(f"{readable(song)} may be any of {len(matches)} songs, such as {some}. Add its folder.")
    return matches[0]


def _embed(options: argparse.Namespace, expected: str) -> NDArray[np.float32]:
    model = load_model(options.ckpt_path, trust=options.trust, device=find_device(options.device))
    if fingerprint(model) != expected:
        raise LitGenreError(
            f"{options.ckpt_path} is not the model that wrote {options.embeddings}, so that its embeddings cannot be "
            "compared with those. Use that model."
        )
    songs = SongClips([options.song], model.sample_rate, model.clip_samples, batch_size_of(model), workers=1)
    predictions = list(predict_songs(model, songs, songs.seconds, songs.statuses))
    if not predictions:
        raise LitGenreError(f"{readable(options.song)} cannot be read: {songs.failures[0]}.")
    return np.asarray(predictions[0].embedding.numpy())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre similar",
        description="List the songs whose embeddings are most similar to that of one of them, or of any file.",
        allow_abbrev=False,
    )
    parser.add_argument("embeddings", metavar="EMBEDDINGS", type=Path, help="file of `classify --embeddings`")
    parser.add_argument("song", metavar="SONG", type=Path, help="one of its songs, or any file, with --ckpt_path")
    parser.add_argument("--top_k", type=int, default=10, help="number of songs (default: %(default)s)")
    parser.add_argument("--ckpt_path", help="checkpoint that wrote the embeddings, for a song that is not in the file")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )
    add_trust_argument(parser)
    return parser
