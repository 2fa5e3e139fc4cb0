"""Downmix to mono, resample, and convert to int16, in the same way for every decoder."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError

INT16_SCALE: Final = 32768
"""Full scale of int16 PCM: a sample of -32768 is -1.0."""

_HALF_POWER: Final = 0.5**0.5

# ITU-R BS.775-4, annex 4, table 2, downmix to one channel: L and R 0.7071, C 1, surrounds 0.5. Here all are multiplied
# by 0.7071, so that the mono of a stereo file is the mean of its channels. The standard leaves out LFE.
_GAINS: Final[dict[str, float]] = {
    **dict.fromkeys(("FL", "FR", "DL", "DR", "FLC", "FRC", "WL", "WR"), 0.5),
    **dict.fromkeys(("FC", "BC"), 0.5 / _HALF_POWER),
    **dict.fromkeys(("BL", "BR", "SL", "SR"), 0.5 * _HALF_POWER),
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}
_GAINS["BC"] = 0.5  # One rear channel has the power of two surrounds.

_UNNAMED_ORDERS: Final = {
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Order of the channels in files that do not name them, such as WAV without a mask: WAV's own, and FFmpeg's default."""

_RATES: Final = (1_000, 1_000_000)
"""Accepted sample rates, Hz. With a wrong rate of 1 Hz in a header, the resampled audio could exceed the memory."""


def downmix_gains(channels: Sequence[str]) -> NDArray[np.float32]:
    """Return the gain of each channel in the mono downmix.

    Args:
        channels: Names of the channels as in FFmpeg, such as "FL", "FR", "FC", "LFE", "BL", "BR". Six and eight
            channels without known names are taken for 5.1 and 7.1.

    Returns:
        Gains, shape (channels,), float32, 0 to 1. If the standard does not name a channel, or all channels are
        low-frequency channels, the gains are equal and their sum is 1. Without a left or right channel, their sum is 1.
    """
    if not any(name in _GAINS for name in channels):
        channels = _UNNAMED_ORDERS.get(len(channels), channels)
    if len(channels) == 1 or not all(name in _GAINS for name in channels):
        return np.full(len(channels), 1 / len(channels), dtype=np.float32)
    gains = np.array([_GAINS[name] for name in channels], dtype=np.float32)
    has_sides = any(name in ("FL", "FR", "DL", "DR") for name in channels)
    if not gains.any():  # Only low-frequency channels.
        return np.full(len(channels), 1 / len(channels), dtype=np.float32)
    return gains if has_sides else gains / gains.sum()


def mix_to_mono(samples: NDArray[np.float32], gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the weighted sum of the channels.

    Args:
        samples: Samples, shape (t, channels), float32, full scale 1.
        gains: Gain of each channel, shape (channels,), float32, from `downmix_gains`.

    Returns:
        Mono samples, shape (t,), float32; a view of `samples` if there is only one channel.
    """
    # The gain of a single channel is 1, so no product is needed.
    return samples[:, 0] if len(gains) == 1 else samples @ gains


class FiniteCounter:
    """Replaces samples that are not finite by silence, and counts them.

    Attributes:
        n_replaced: Number of samples replaced so far.
    """

    def __init__(self) -> None:
        self.n_replaced = 0

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Replace the samples of a block that are not finite.

        Args:
            waveform: Samples, shape (t,), float32.

        Returns:
            Shape (t,), float32: the same array if all samples are finite, else a copy.
        """
        # The product is not finite if one of the samples is not, and is several times as fast as checking each.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(waveform @ waveform):
                return waveform
        finite = np.isfinite(waveform)
        self.n_replaced += int(len(waveform) - finite.sum())
        return np.where(finite, waveform, np.float32(0))


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], file_rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a waveform block by block.

    Args:
        blocks: Blocks of mono samples, each of shape (t,), float32, full scale 1.
        file_rate: Sample rate of the blocks, Hz.
        sample_rate: Sample rate of the result, Hz.

    Yields:
        Resampled blocks, each of shape (t,), float32, full scale 1; the same arrays if the rates are equal.

    Raises:
        AudioError: The sample rate of the file is below 1 kHz or above 1 MHz.
    """
    if not _RATES[0] <= file_rate <= _RATES[1]:
        raise AudioError(f"a sample rate of {file_rate:,} Hz")
    if file_rate == sample_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(file_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def to_int16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert a waveform to int16; samples beyond full scale are clipped.

    Args:
        waveform: Samples without NaN, shape (t,), float32, full scale 1. The array is overwritten, which saves memory.

    Returns:
        Shape (t,), int16, full scale 32768.
    """
    with np.errstate(over="ignore"):  # A product may be infinite; it is clipped like other samples beyond full scale.
        np.multiply(waveform, INT16_SCALE, out=waveform)
    return np.rint(waveform, out=waveform).clip(-INT16_SCALE, INT16_SCALE - 1, out=waveform).astype(np.int16)
