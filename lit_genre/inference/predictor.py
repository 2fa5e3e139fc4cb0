"""A trained model hears songs: what it says of each, of each moment of it, and how it heard it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lit_genre.batch import Batch
from lit_genre.data.decoding.status import COMPLETE, TrackStatus
from lit_genre.model.classifier import GenreClassifier


class SongPrediction(NamedTuple):
    """What the model says of one song, which it hears in w clips that cover it.

    Attributes:
        position: Position of the song among the files.
        seconds: Length of the song.
        probs: Probability of each genre, the mean over the clips, shape (c,).
        starts: Where each clip begins, s, shape (w,).
        clip_probs: Probabilities of each clip, shape (w, c).
        embedding: The backbone's embedding, the mean over the clips, shape (d,).
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
    """Predict song by song; those that cannot be read are in `SongClips.failures` at the end.

    Args:
        model: On its device, in evaluation mode.
        clips: At the model's sample rate and of its length, as `SongClips` gives them.
        seconds: `SongClips.seconds`.
        statuses: `SongClips.statuses`.
    """
    position, heard = -1, list[tuple[Tensor, ...]]()
    for batch in clips:
        columns = _hear(model, batch)
        for row, its_position in enumerate(batch.track_id.tolist()):
            if its_position != position and heard:
                yield _answer(position, seconds[position], statuses[position], heard)
                heard = []
            position = its_position
            heard.append(tuple(column[row] for column in columns))
    if heard:
        yield _answer(position, seconds[position], statuses[position], heard)


def _hear(model: GenreClassifier, batch: Batch) -> tuple[Tensor, ...]:
    assert batch.start is not None
    with torch.inference_mode():
        probs, embedding = model.predict_with_embedding(batch.waveform.to(model.device))
    return batch.start / model.sample_rate, probs.cpu(), embedding.float().cpu()


def _answer(position: int, seconds: float, status: TrackStatus, heard: list[tuple[Tensor, ...]]) -> SongPrediction:
    starts, probs, embedding = map(torch.stack, zip(*heard, strict=True))
    return SongPrediction(position, seconds, probs.mean(0), starts, probs, embedding.mean(0), status)
