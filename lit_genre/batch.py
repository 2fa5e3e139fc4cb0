"""What crosses from the data to the model: one batch of clips."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of clips of one length.

    Attributes:
        waveform: int16 PCM, shape (b, n), full scale 32767; it becomes float on the device.
        label: Position of the track's genre in the class names, shape (b,).
        track_id: Number of the track that each clip is from, shape (b,).
    """

    waveform: Tensor
    label: Tensor
    track_id: Tensor
