"""Decode one audio file of any format that libsndfile reads to mono PCM at one sample rate."""

import os
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

INT16_SCALE: Final = 32768
"""Full scale of int16 PCM: a sample of -32768 is -1.0."""

DECODER: Final = f"libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__version__} HQ, mono int16, 1"
"""What determines the samples beside the file and the sample rate; the last number is this module's own."""


class AudioError(Exception):
    """A file that holds no usable audio; the text is the reason."""


def decode(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Decode a file, mix its channels to mono and resample it.

    A file that breaks off is decoded as far as it goes. Samples beyond full scale, which MP3 decoders do
    produce, are clipped.

    Args:
        path: MP3, FLAC, OGG, WAV or any other format of libsndfile; any sample rate, any number of channels.
        sample_rate: Sample rate of the result, Hz.

    Returns:
        Samples, shape (t,), t > 0, full scale 32768.

    Raises:
        AudioError: The file is empty, is no audio, or holds nothing but silence or non-finite samples.
        OSError: The file cannot be opened.
    """
    waveform, file_rate = _read_mono(path)
    if file_rate != sample_rate and len(waveform):
        waveform = soxr.resample(waveform, file_rate, sample_rate, quality="HQ")
    if not len(waveform):
        raise AudioError("no samples")
    peak = float(np.abs(waveform).max())
    if not np.isfinite(peak):
        raise AudioError("samples that are not finite")
    np.multiply(waveform, INT16_SCALE, out=waveform)
    pcm = np.rint(waveform, out=waveform).clip(-INT16_SCALE, INT16_SCALE - 1, out=waveform).astype(np.int16)
    if not pcm.any():
        raise AudioError("nothing but silence")
    return pcm


def _read_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    # Opened here, so that a file that may not be read is an OSError and not "unknown format".
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with soundfile.SoundFile(descriptor, closefd=False) as file:
            samples = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(f"no audio that can be decoded (libsndfile: {error.error_string})") from error
    finally:
        os.close(descriptor)
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0], rate
    # A product with 1/channels is several times as fast as numpy's mean over the short axis.
    return samples @ np.full(channels, 1 / channels, dtype=np.float32), rate
