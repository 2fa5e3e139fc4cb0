"""Decodes an upload; runs in a worker process."""

import shutil
import tempfile
from pathlib import Path

from lit_genre.console import quiet_c_stderr
from lit_genre.data.songs import decode_song


def decode_to_file(source: Path, target: Path, sample_rate: int, max_seconds: float) -> int:
    """Decode an audio file to mono PCM.

    Args:
        source: A file of any format.
        target: File to write the samples to: int16 in the order of this machine's bytes, full scale 32768.
        sample_rate: Sample rate of the result, Hz.
        max_seconds: Longest recording to accept, s.

    Returns:
        Number of samples.

    Raises:
        AudioError: The file holds no usable audio, or more than `max_seconds`.
    """
    # What a killed process leaves is removed with the folder of the upload.
    tempfile.tempdir = str(target.parent)
    with quiet_c_stderr():
        song = decode_song(source, sample_rate, max_seconds)
    with song.pcm, target.open("wb") as file:
        song.pcm.seek(0)
        shutil.copyfileobj(song.pcm, file)
    return song.n_samples
