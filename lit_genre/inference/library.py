"""Write and read a library: an .npz file with the embeddings of songs."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lit_genre.errors import LitGenreError

if TYPE_CHECKING:
    # Reading a library needs no torch, whose import takes seconds.
    from lit_genre.inference.predictor import SongPrediction
    from lit_genre.model.classifier import GenreClassifier


class EmbeddingsWriter:
    """Writes the embeddings of s songs to an .npz file, at the end of its context.

    The arrays are `path`, shape (s,); `embedding`, float32, shape (s, d); `probs`, float32, shape (s, c); `classes`,
    shape (c,); and `model`, the fingerprint of the model. An existing file is replaced only if no error occurred and
    there is at least one song.

    Args:
        path: File that ends in .npz; missing folders are created.
        model: The model that computes the embeddings.
    """

    def __init__(self, path: Path, model: "GenreClassifier") -> None:
        self._path, self._model = path, model
        self._part = path.with_name(f"{path.name}.part")
        self._songs: list[str] = []
        self._predictions: list[SongPrediction] = []

    def write(self, path: Path, prediction: "SongPrediction") -> None:
        """Add the prediction of a song.

        Args:
            path: Path of the song.
            prediction: Prediction of the song.
        """
        self._songs.append(os.path.abspath(path))
        self._predictions.append(
            prediction._replace(clip_probs=prediction.clip_probs[:0].clone())
        )  # There may be thousands of clips.

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Removed first: it may be left by a killed process, or be a link to another file.
        self._part.unlink(missing_ok=True)
        # If the folder is not writable, this fails now and not after hours of decoding.
        self._part.touch()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._songs:
                with self._part.open("wb") as file:
                    np.savez(
                        file,
                        path=np.array(self._songs),
                        embedding=np.stack([prediction.embedding.numpy() for prediction in self._predictions]),
                        probs=np.stack([prediction.probs.numpy() for prediction in self._predictions]),
                        classes=np.array(list(self._model.classes)),
                        model=np.array(fingerprint(self._model)),
                    )
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)


class EmbeddingLibrary(NamedTuple):
    """Content of a file that `classify --embeddings` wrote.

    Attributes:
        paths: Paths of the songs.
        embeddings: Embeddings, float32, shape (s, d).
        genres: Most probable genre of each song.
        fingerprint: Fingerprint of the model that computed the embeddings.
    """

    paths: list[str]
    embeddings: NDArray[np.float32]
    genres: list[str]
    fingerprint: str


def read_library(path: Path) -> EmbeddingLibrary:
    """Read a file that `EmbeddingsWriter` wrote.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        LitGenreError: The file has another content, or is damaged.
        OSError: The file cannot be opened.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = ("path", "embedding", "classes", "probs", "model")
            paths, embeddings, classes, probs, model = (arrays[name] for name in names)
        genres = [str(classes[index]) for index in probs.argmax(1)]
        if not (embeddings.dtype == np.float32 and embeddings.ndim == 2 and np.isfinite(embeddings).all()):
            raise ValueError("the embeddings are not finite numbers of float32")
        if not len(paths) == len(embeddings) == len(genres):
            raise ValueError("the arrays have different lengths")
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged or foreign file.
        # The text of an OSError with a file name is clear; one without is numpy's for a damaged file.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise LitGenreError(f"{path} is not a file of lit-genre classify --embeddings: {error}") from error
    return EmbeddingLibrary([str(name) for name in paths], embeddings, genres, str(model))


def fingerprint(model: "GenreClassifier") -> str:
    """Return a digest of the weights of a model: embeddings are comparable only if it is equal.

    Args:
        model: The model.

    Returns:
        The first 16 hexadecimal digits of SHA-256 over names and values.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
