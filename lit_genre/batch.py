"""What data and model have in common: a batch of clips, and how long a clip is."""

from typing import Final, Literal, NamedTuple

from torch import Tensor

from lit_genre.errors import check_at_least

Task = Literal["multiclass", "multilabel"]
"""Whether a track has one genre, by softmax, or several, each by a sigmoid of its own."""

TRACK_SECONDS: Final = 30.0
"""Length of FMA's clips: what `clip_seconds: null` means."""


class Batch(NamedTuple):
    """A batch of clips of one length.

    Attributes:
        waveform: int16 PCM, shape (b, n), full scale 32768; it becomes float on the device. Of no samples where the
            data keeps something else of these clips.
        label: Position of the track's genre in the class names, shape (b,); or, where a track may have several, 0 or 1
            for each of them, shape (b, c).
        track_id: Number of the track that each clip is from, shape (b,).
        start: First sample of each clip in its track, shape (b,).
        mel: Spectrograms of the clips, shape (b, m, f), where the data has kept them from an earlier epoch.
    """

    waveform: Tensor
    label: Tensor
    track_id: Tensor
    start: Tensor | None = None
    mel: Tensor | None = None


def clip_samples(clip_seconds: float | None, sample_rate: int) -> int:
    """Return the length of a clip in samples; None is FMA's whole 30 s.

    Raises:
        LitGenreError: The clip is shorter than 0.1 s, or the sample rate no more than 0.
    """
    seconds = TRACK_SECONDS if clip_seconds is None else clip_seconds
    check_at_least(clip_seconds=(seconds, 0.1), sample_rate=(sample_rate, 1))
    return round(seconds * sample_rate)
