"""Decode an upload, in a worker process."""

import shutil
import tempfile
from pathlib import Path

from lit_genre.console import quiet_c_stderr
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import decode_track


def decode_to_file(source: Path, target: Path, sample_rate: int, max_seconds: float) -> tuple[int, TrackStatus]:
    """Decode an audio file to mono PCM.

    Args:
        source: A file of any format.
        target: File to write the samples to: int16 in the byte order of this machine, full scale 32768.
        sample_rate: Sample rate of the result, Hz.
        max_seconds: Longest recording to accept, s.

    Returns:
        Number of samples, and how much of the file was decoded.

    Raises:
        AudioError: The file holds no usable audio, or more than `max_seconds`.
    """
    # The temporary files of the decoders are made in the folder of the upload, which the server deletes even if this
    # process is killed.
    tempfile.tempdir = str(target.parent)
    with quiet_c_stderr(), decode_track(source, sample_rate, max_seconds) as audio, target.open("wb") as file:
        audio.pcm.seek(0)
        shutil.copyfileobj(audio.pcm, file)
        return audio.n_samples, audio.status
