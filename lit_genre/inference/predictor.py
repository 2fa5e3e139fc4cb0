"""Predict the genres and the embedding of songs, and of each clip of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lit_genre.batch import Batch
from lit_genre.data.decoding.status import COMPLETE, TrackStatus
from lit_genre.model.classifier import GenreClassifier


class SongPrediction(NamedTuple):
    """Prediction of one song, from w clips that cover it.

    Attributes:
        position: Position of the song among the files.
        seconds: Length of the song, s.
        probs: Probability of each genre, the mean over the clips, float32, shape (c,).
        starts: Start of each clip, s, shape (w,).
        clip_probs: Probabilities of each clip, float32, shape (w, c).
        embedding: Embedding of the backbone, the mean over the clips, float32, shape (d,).
        status: How much of the song was decoded.
    """

    position: int
    seconds: float
    probs: Tensor
    starts: Tensor
    clip_probs: Tensor
    embedding: Tensor
    status: TrackStatus = COMPLETE


def predict_songs(
    model: GenreClassifier,
    clips: Iterable[Batch],
    seconds: Mapping[int, float],
    statuses: Mapping[int, TrackStatus],
) -> Iterator[SongPrediction]:
    """Predict song by song; `SongClips.failures` has the files that cannot be read, at the end.

    Args:
        model: The model, on its device, in evaluation mode.
        clips: Batches of clips at the model's sample rate and of its length, those of a song one after another, as
            `SongClips` returns them; `track_id` is the position of the file.
        seconds: `SongClips.seconds`: length of each song, s, by position.
        statuses: `SongClips.statuses`: how much of each song was decoded, by position.

    Yields:
        A prediction for each song, as soon as its last clip is predicted; tensors are on the CPU.
    """
    position = -1
    rows: list[tuple[Tensor, ...]] = []
    for batch in clips:
        columns = _predict_batch(model, batch)
        for row, row_position in enumerate(batch.track_id.tolist()):
            if row_position != position and rows:
                yield _average(position, seconds[position], statuses[position], rows)
                rows = []
            position = row_position
            rows.append(tuple(column[row] for column in columns))
    if rows:
        yield _average(position, seconds[position], statuses[position], rows)


def _predict_batch(model: GenreClassifier, batch: Batch) -> tuple[Tensor, ...]:
    """Return start, s, (b,), probabilities, (b, c), and embeddings, (b, d), of the clips of a batch."""
    assert batch.start is not None
    with torch.inference_mode():
        probs, embedding = model.predict_with_embedding(batch.waveform.to(model.device))
    return batch.start / model.sample_rate, probs.cpu(), embedding.float().cpu()


def _average(position: int, seconds: float, status: TrackStatus, rows: list[tuple[Tensor, ...]]) -> SongPrediction:
    """Average the clips of a song."""
    starts, probs, embedding = map(torch.stack, zip(*rows, strict=True))
    return SongPrediction(position, seconds, probs.mean(0), starts, probs, embedding.mean(0), status)
