"""The batch of clips that data modules pass to models, the tasks, and the length of a clip."""

from typing import Final, Literal, NamedTuple

from torch import Tensor

from lit_genre.errors import check_at_least

Task = Literal["multiclass", "multilabel"]
"""Each track has one class (softmax), or any number of classes (a sigmoid for each)."""

TRACK_SECONDS: Final = 30.0
"""Length of FMA's clips, s; `clip_seconds: null` means this length."""


class Batch(NamedTuple):
    """A batch of clips of one length.

    Attributes:
        waveform: int16 PCM, shape (b, n), full scale 32768; it becomes float on the device. Shape (b, 0) if the samples
            are on the device already, or if the data module has the spectrograms.
        label: For multiclass, index of the genre in the class names, int64, shape (b,). For multilabel, 0 or 1 for each
            class, shape (b, c). -1 if unknown.
        track_id: Id of the track of each clip, int64, shape (b,): the id by which the data module's `track` finds it.
            For `PredictDataModule` and other lists of files it is the position in the list.
        start: First sample of each clip in its track, int64, shape (b,).
        mel: Spectrograms of the clips from the cache, shape (b, m, f), values -1 to 1; None to compute them.
    """

    waveform: Tensor
    label: Tensor
    track_id: Tensor
    start: Tensor | None = None
    mel: Tensor | None = None


def clip_samples(clip_seconds: float | None, sample_rate: int) -> int:
    """Return the length of a clip in samples.

    Args:
        clip_seconds: Length of a clip, s; None for 30 s, the length of FMA's clips.
        sample_rate: Sample rate, Hz.

    Raises:
        LitGenreError: The clip is shorter than 0.1 s, or the sample rate is less than 1.
    """
    seconds = TRACK_SECONDS if clip_seconds is None else clip_seconds
    check_at_least(clip_seconds=(seconds, 0.1), sample_rate=(sample_rate, 1))
    return round(seconds * sample_rate)
