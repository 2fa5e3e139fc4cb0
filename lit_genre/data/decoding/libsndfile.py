"""Decode by libsndfile, the fastest decoder for undamaged MP3, FLAC, Ogg, WAV and AIFF files."""

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
"""Frames in a block."""

_MARGIN_SECONDS: Final = 0.1
"""Length that is also decoded on both sides of an excerpt, s: the resampler needs the samples around it."""

_RESERVOIR_BITS: Final = 8 * 511
"""A frame of MP3 may store a part of its data up to this many bits before the frame. Decoding begins eight times as
many bits earlier, because a variable bit rate may be far below its mean. Measured: 0.35 s at 12 kbit/s."""


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that soundfile does not seek in after each block.

    After such a seek, an MP3 of a low bit rate lacks the data that earlier frames contain.
    """

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
    # Opened by Python so that a missing permission raises an OSError; libsndfile would report an unknown format.
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

    A truncated or damaged file is decoded up to the position at which libsndfile stops.

    Args:
        file: Open file, from `open_sound`.
        sample_rate: Sample rate of the result, Hz.
        finite: Replaces and counts samples that are not finite.
        n_frames: Number of frames to read from the current position, at the sample rate of the file; None for all.

    Yields:
        Samples, shape (t,), int16, full scale 32768.

    Raises:
        AudioError: The sample rate of the file is below 1 kHz or above 1 MHz.
        soundfile.LibsndfileError: Nothing can be read; `open_sound` converts it to an AudioError.
    """
    source = map(finite, _mono_blocks(file, file.frames if n_frames is None else n_frames))
    yield from map(to_int16, resample_blocks(source, file.samplerate, sample_rate))


def excerpt(file: soundfile.SoundFile, n_bytes: int, sample_rate: int, start: int, n_samples: int) -> NDArray[np.int16]:
    """Decode a part of an open file without the rest.

    Args:
        file: Open file, from `open_sound`.
        n_bytes: Size of the file, bytes.
        sample_rate: Sample rate of the result, Hz.
        start: Position of the first sample, at that rate.
        n_samples: Number of samples; fewer are returned at the end of the file.

    Returns:
        Samples, shape (n,), int16, full scale 32768, within about two steps of those of the whole file.

    Raises:
        AudioError: The sample rate of the file is below 1 kHz or above 1 MHz.
        soundfile.LibsndfileError: Nothing can be read; `open_sound` converts it to an AudioError.
    """
    # Decoding begins at a time that is a whole number of samples at both rates, as resampling then has the same phase.
    divisor = math.gcd(file.samplerate, sample_rate)
    source_step, step = file.samplerate // divisor, sample_rate // divisor
    bit_rate = 8 * n_bytes * file.samplerate / max(1, file.frames)
    before, after = _MARGIN_SECONDS + 8 * _RESERVOIR_BITS / bit_rate, _MARGIN_SECONDS
    first = max(0, start // step - math.ceil(before * sample_rate / step))
    last = math.ceil((start + n_samples) / step + after * sample_rate / step)
    if first * source_step >= file.frames:
        return np.empty(0, dtype=np.int16)
    file.seek(first * source_step)
    # In a damaged file a seek may arrive beyond the end.
    n_frames = min((last - first) * source_step, file.frames - file.tell())
    blocks = decode_blocks(file, sample_rate, FiniteCounter(), n_frames)
    pcm = np.concatenate([*blocks, np.empty(0, dtype=np.int16)])
    skipped = start - first * step
    return pcm[skipped : skipped + n_samples]


def _mono_blocks(file: soundfile.SoundFile, n_frames: int) -> Iterator[NDArray[np.float32]]:
    """Read blocks up to the end of a file: a damaged header may declare more frames than fit into memory."""
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
