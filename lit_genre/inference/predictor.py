"""Run a trained model over batches of clips, and average the clips of each song: the batch loop of inference."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor

from lit_genre.batch import Batch
from lit_genre.data.decoding.status import COMPLETE, TrackStatus
from lit_genre.inference.batch_parts import BatchParts
from lit_genre.model.classifier import GenreClassifier

_BATCH_SECONDS: Final = {"cpu": 20.0, "accelerator": 960.0}
"""Audio in a batch, s: on an accelerator 32 clips of 30 s, on a CPU one such clip.

On a CPU, larger batches are not faster and need more memory.
"""


class SongPrediction(NamedTuple):
    """Prediction of one song, computed from w clips that cover it.

    Attributes:
        position: Position of the song in the list of files.
        seconds: Length of the song, s.
        probs: Probability of each genre, 0 to 1: the mean over the clips, float32, shape (c,).
        starts: Start of each clip, s, shape (w,).
        clip_probs: Probabilities of each clip, 0 to 1, float32, shape (w, c).
        embedding: Embedding by the backbone: the mean over the clips, float32, shape (d,).
        status: How much of the song was decoded.
    """

    position: int
    seconds: float
    probs: Tensor
    starts: Tensor
    clip_probs: Tensor
    embedding: Tensor
    status: TrackStatus = COMPLETE


def default_batch_size(model: GenreClassifier) -> int:
    """Return the number of clips in a batch for the device and the clip length of a model.

    Args:
        model: The model, on its device.

    Returns:
        Number of clips, at least 1.
    """
    device = "cpu" if model.device.type == "cpu" else "accelerator"
    return max(1, int(_BATCH_SECONDS[device] * model.sample_rate / model.clip_samples))


def predict_songs(
    model: GenreClassifier,
    clips: Iterable[Batch],
    seconds: Mapping[int, float],
    statuses: Mapping[int, TrackStatus],
) -> Iterator[SongPrediction]:
    """Predict songs from batches of their clips, one song after another.

    `classify`, `similar` and `serve` use this loop. A batch that does not fit the memory of the device is computed in
    parts. `SongClips.failures` lists the unreadable files after the last batch.

    Args:
        model: The model, on its device, in evaluation mode.
        clips: Batches of clips as `SongClips` yields them: waveforms of shape (b, n) at the model's sample rate, with
            n = `model.clip_samples`. The clips of a song are consecutive. `track_id` is the position of the file.
        seconds: Length of each song, s, by position, such as `SongClips.seconds`. An entry is read after the clips of
            its song, so the iterator may add it.
        statuses: How much of each song was decoded, by position, such as `SongClips.statuses`.

    Yields:
        The prediction of each song, as soon as its last clip is predicted; tensors are on the CPU.

    Raises:
        LitGenreError: A probability is not finite, or a single clip does not fit the memory of the device.
    """
    predict = BatchParts(partial(_predict, model))
    position = -1
    rows: list[tuple[Tensor, ...]] = []
    for batch in clips:
        # `Batch.start` is optional because training does not need it.
        assert batch.start is not None
        columns = (batch.start / model.sample_rate, *predict(batch.waveform))
        # A batch may contain clips of several songs, and the clips of a song may be in several batches.
        for row, row_position in enumerate(batch.track_id.tolist()):
            if row_position != position and rows:
                yield _average(position, seconds[position], statuses[position], rows)
                rows = []
            position = row_position
            rows.append(tuple(column[row] for column in columns))
    if rows:
        yield _average(position, seconds[position], statuses[position], rows)


def _predict(model: GenreClassifier, waveform: Tensor) -> tuple[Tensor, ...]:
    """Return the probabilities of clips, shape (b, c), and their embeddings, (b, d), on the CPU."""
    with torch.inference_mode():
        probs, embedding = model.predict_with_embedding(waveform.to(model.device))
    # The backbone may compute in bfloat16, which numpy cannot represent.
    return probs.cpu(), embedding.float().cpu()


def _average(position: int, seconds: float, status: TrackStatus, rows: list[tuple[Tensor, ...]]) -> SongPrediction:
    """Average the clips of a song, given as a row (start, probabilities, embedding) for each clip."""
    starts, probs, embedding = map(torch.stack, zip(*rows, strict=True))
    return SongPrediction(position, seconds, probs.mean(0), starts, probs, embedding.mean(0), status)
