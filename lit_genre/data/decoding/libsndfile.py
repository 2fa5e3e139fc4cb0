"""Decode by libsndfile: the fast way for whole MP3, FLAC, Ogg, WAV and AIFF files."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.pcm import FiniteCounter, mix_to_mono, resample_blocks, to_int16

_FRAMES: Final = 1 << 16
"""Frames of a block."""

_MARGIN_SECONDS: Final = 0.1
"""Decoded on both sides of an excerpt, so that the resampler gives what it gives in the whole file."""

_RESERVOIR_BITS: Final = 8 * 511
"""How far back a frame of MP3 may have put a part of its data. Decoding begins so many bits earlier, eight times over,
because where the bit rate varies it may be that far below its mean; measured: 0.35 s before a seek at 12 kbit/s."""


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file without a seek after each block: an MP3 of a low bit rate then lacks the data of earlier frames."""

    def seekable(self) -> bool:
        return False


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a file by libsndfile.

    Args:
        path: The file.

    Yields:
        The file, which is closed at the end of the context.

    Raises:
        AudioError: libsndfile cannot read it.
        OSError: The file cannot be opened.
    """
    # Opened here, so that a file without permission is an OSError and not "unknown format".
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _SoundFile(descriptor, closefd=False) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioError(f"no audio that can be decoded (libsndfile: {error.error_string})") from error
    finally:
        os.close(descriptor)


def decode_blocks(
    file: soundfile.SoundFile, sample_rate: int, finite: FiniteCounter, n_frames: int | None = None
) -> Iterator[NDArray[np.int16]]:
    """Decode an open file to mono at a sample rate, block by block.

    A file that breaks off is decoded as far as libsndfile reads it.

    Args:
        file: From `open_sound`.
        sample_rate: Sample rate of the result, Hz.
        finite: Replaces and counts samples that are not finite.
        n_frames: Frames to read from the current position; None for all.

    Yields:
        Samples, shape (t,), int16, full scale 32768.

    Raises:
        AudioError: The sample rate of the file is out of the range of music.
        soundfile.LibsndfileError: Nothing can be read.
    """
    source = map(finite, _mono_blocks(file, file.frames if n_frames is None else n_frames))
    yield from map(to_int16, resample_blocks(source, file.samplerate, sample_rate))


def excerpt(file: soundfile.SoundFile, n_bytes: int, sample_rate: int, start: int, n_samples: int) -> NDArray[np.int16]:
    """Decode a part of an open file without the rest.

    Args:
        file: From `open_sound`.
        n_bytes: Size of the file.
        sample_rate: Sample rate of the result, Hz.
        start: First sample, at that rate.
        n_samples: Number of samples; fewer are returned at the end of the file.

    Returns:
        Samples, shape (n,), to a step or two those of the whole file there.
    """
    # From a moment that is on a sample at both rates.
    divisor = math.gcd(file.samplerate, sample_rate)
    source_step, step = file.samplerate // divisor, sample_rate // divisor
    bit_rate = 8 * n_bytes * file.samplerate / max(1, file.frames)
    before, after = _MARGIN_SECONDS + 8 * _RESERVOIR_BITS / bit_rate, _MARGIN_SECONDS
    first = max(0, start // step - math.ceil(before * sample_rate / step))
    last = math.ceil((start + n_samples) / step + after * sample_rate / step)
    if first * source_step >= file.frames:
        return np.empty(0, dtype=np.int16)
    file.seek(first * source_step)
    # In a damaged file a seek may end after the end.
    n_frames = min((last - first) * source_step, file.frames - file.tell())
    blocks = decode_blocks(file, sample_rate, FiniteCounter(), n_frames)
    pcm = np.concatenate([*blocks, np.empty(0, dtype=np.int16)])
    skipped = start - first * step
    return pcm[skipped : skipped + n_samples]


def _mono_blocks(file: soundfile.SoundFile, n_frames: int) -> Iterator[NDArray[np.float32]]:
    """Read to where a file ends or breaks off: a damaged header may declare more than there is memory for."""
    # A product is several times as fast as numpy's mean over the short axis.
    gains = np.full(file.channels, 1 / file.channels, dtype=np.float32)
    # One buffer for all blocks: fresh memory for each costs 3 % of the time.
    buffer = np.empty((_FRAMES, file.channels), dtype=np.float32)
    n_read = 0
    try:
        while n_frames > n_read:
            samples = file.read(out=buffer[: min(n_frames - n_read, _FRAMES)])
            if not len(samples):
                break
            n_read += len(samples)
            yield mix_to_mono(samples, gains)
    except soundfile.LibsndfileError:
        if not n_read:
            raise
