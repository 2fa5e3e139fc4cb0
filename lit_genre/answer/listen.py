"""A trained model hears songs: what it says of each, of each moment of it, and how it heard it."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lit_genre.batch import Batch
from lit_genre.data.songs import SongClips
from lit_genre.model.classifier import GenreClassifier


class Answer(NamedTuple):
    """What the model says of one song, which it hears in w clips that cover it.

    Attributes:
        position: Position of the song among the files.
        seconds: Length of the song.
        probs: Probability of each genre, the mean over the clips, shape (c,).
        starts: Where each clip begins, s, shape (w,).
        clip_probs: Probabilities of each clip, shape (w, c).
        embedding: The backbone's embedding, the mean over the clips, shape (d,).
    """

    position: int
    seconds: float
    probs: Tensor
    starts: Tensor
    clip_probs: Tensor
    embedding: Tensor


def listen(model: GenreClassifier, songs: SongClips) -> Iterator[Answer]:
    """Answer song by song; those that cannot be read are in `songs.failures` at the end.

    Args:
        model: On its device, in evaluation mode.
        songs: At the model's sample rate, in clips of its length.
    """
    position, heard = -1, list[tuple[Tensor, ...]]()
    for batch in songs:
        columns = _hear(model, batch)
        for row, its_position in enumerate(batch.track_id.tolist()):
            if its_position != position and heard:
                yield _answer(position, songs, heard)
                heard = []
            position = its_position
            heard.append(tuple(column[row] for column in columns))
    if heard:
        yield _answer(position, songs, heard)


def _hear(model: GenreClassifier, batch: Batch) -> tuple[Tensor, ...]:
    assert batch.start is not None
    with torch.inference_mode():
        probs, embedding = model.answer(batch.waveform.to(model.device))
    return batch.start, probs.cpu(), embedding.float().cpu()


def _answer(position: int, songs: SongClips, heard: list[tuple[Tensor, ...]]) -> Answer:
    starts, probs, embedding = map(torch.stack, zip(*heard, strict=True))
    return Answer(
        position, songs.seconds[position], probs.mean(0), starts / songs.sample_rate, probs, embedding.mean(0)
    )
