"""Rank the songs of a file of embeddings by their similarity to a song."""

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table

from lit_genre.console import console, results
from lit_genre.data.metadata.audio_files import readable
from lit_genre.errors import LitGenreError
from lit_genre.inference.library import read_library
from lit_genre.text import one_line


def list_similar(options: argparse.Namespace) -> None:
    """Print the most similar songs.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: The file of embeddings cannot be used, or the song is neither in it nor can be embedded.
    """
    library = read_library(options.embeddings)
    # With a checkpoint, a file that exists is embedded, not mistaken for a song of the same name in the library.
    position = _find(options.song, library.paths, by_end=not (options.ckpt_path and options.song.exists()))
    if position is not None:
        query = library.embeddings[position]
        console.print(f"Most similar to {readable(library.paths[position])}:")
    elif options.ckpt_path:
        query = _embed(options, library.fingerprint)
    else:
        raise LitGenreError(
            f"{readable(options.song)} is not one of the {len(library.paths):,} songs of {options.embeddings}. Use a "
            "path in that file, or set --ckpt_path to the checkpoint that wrote it, to embed another file."
        )
    similarities = centered_cosine_similarity(library.embeddings, query)
    order = np.argsort(-similarities, kind="stable").tolist()
    table = Table("similarity", Column("song", overflow="fold"), "genre")
    for index in [index for index in order if index != position][: options.top_k]:
        table.add_row(f"{similarities[index]:.3f}", readable(library.paths[index]), one_line(library.genres[index]))
    results.print(table)


def centered_cosine_similarity(embeddings: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the cosine similarity of each embedding and a query, after subtracting the mean embedding.

    Without the subtraction all similarities would be near 1, because the embeddings of a network share a large mean.

    Args:
        embeddings: Embeddings, float32, shape (s, d).
        query: Embedding of one song, float32, shape (d,).

    Returns:
        Similarities, -1 to 1, float32, shape (s,); 0 for an embedding that equals the mean.
    """
    mean = embeddings.mean(0)
    rows, row = embeddings - mean, query - mean
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    # The smallest normal number avoids 0/0 if an embedding equals the mean.
    return np.asarray(rows @ row / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


def _find(song: Path, paths: list[str], by_end: bool) -> int | None:
    """Return the position of a song by its absolute path, or by the end of its path; None if it is not in `paths`.

    Raises:
        LitGenreError: Several paths end in that of the song.
    """
    absolute = os.path.abspath(song)
    if absolute in paths:
        return paths.index(absolute)
    matches = [index for index, path in enumerate(paths) if Path(path).parts[-len(song.parts) :] == song.parts]
    if not matches or not by_end:
        return None
    if len(matches) > 1:
        examples = ", ".join(readable(paths[index]) for index in matches[:3])
        raise LitGenreError(f"{readable(song)} may be any of {len(matches)} songs, such as {examples}. Add its folder.")
    return matches[0]


def _embed(options: argparse.Namespace, expected: str) -> NDArray[np.float32]:
    """Return the embedding of a file, float32, shape (d,), by the model that has the expected fingerprint."""
    # Here, because a song of the library needs no model: without torch the command takes half a second, not 7 s.
    from lit_genre.data.loading.streaming import SongClips
    from lit_genre.inference.library import fingerprint
    from lit_genre.inference.load import find_device, load_model
    from lit_genre.inference.predictor import default_batch_size, predict_songs

    model = load_model(options.ckpt_path, trust=options.trust, device=find_device(options.device))
    if fingerprint(model) != expected:
        raise LitGenreError(
            f"{options.ckpt_path} is not the model that wrote {options.embeddings}, so the embeddings cannot be "
            "compared. Set --ckpt_path to the checkpoint that wrote the file."
        )
    songs = SongClips([options.song], model.sample_rate, model.clip_samples, default_batch_size(model), workers=1)
    predictions = list(predict_songs(model, songs, songs.seconds, songs.statuses))
    if not predictions:
        raise LitGenreError(f"{readable(options.song)} cannot be read: {songs.failures[0]}.")
    return np.asarray(predictions[0].embedding.numpy())
