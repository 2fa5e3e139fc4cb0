"""Measure the length of a file, and decode parts of it, without decoding the whole file."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_genre.data.decoding import ffmpeg, libsndfile
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.layout import Layout, read_layout
from lit_genre.data.decoding.riff import missing_share
from lit_genre.data.decoding.status import TrackStatus, judge
from lit_genre.data.decoding.track_audio import MAX_SECONDS, MIN_SECONDS, decode_track


def measure_track(path: Path, sample_rate: int) -> tuple[int, TrackStatus]:
    """Measure the length of a file from its structure; decode the file only if that gives no reliable length.

    Args:
        path: The file.
        sample_rate: Sample rate at which the samples are counted, Hz.

    Returns:
        Number of samples, and whether parts of the file are missing.

    Raises:
        AudioError: The file is empty, too short, or cannot be decoded at its beginning or its end.
        OSError: The file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    try:
        with libsndfile.open_sound(path) as file:
            layout = read_layout(path, file)
    except AudioError:
        layout = Layout()
        # If samples are missing, the declared length is too long: all of the file is then decoded below.
        seconds = 0.0 if missing_share(path) else ffmpeg.declared_seconds(path)
    else:
        seconds = layout.seconds if layout.is_for_libsndfile else 0.0
    n_samples = int(min(seconds, MAX_SECONDS) * sample_rate)
    # A header may declare samples that the file lacks, so the first and the last second are decoded to check it.
    if n_samples < MIN_SECONDS * sample_rate or not all(
        len(excerpt(path, sample_rate, start, sample_rate)) for start in (0, max(0, n_samples - sample_rate))
    ):
        with decode_track(path, sample_rate) as audio:
            return audio.n_samples, audio.status
    return n_samples, judge(max(0.0, layout.declared_seconds - seconds), layout.damaged_seconds)


def excerpt(path: Path, sample_rate: int, start: int, n_samples: int) -> NDArray[np.int16]:
    """Decode a part of a file; if its format allows seeking, the rest is not decoded.

    Args:
        path: A file of any format that libsndfile or FFmpeg decodes.
        sample_rate: Sample rate of the result, Hz.
        start: Position of the first sample, at that rate.
        n_samples: Number of samples; fewer are returned at the end of the file.

    Returns:
        Samples, shape (n,), int16, full scale 32768. They differ by about two steps at most from the samples that
        `decode_track` returns for this part; after a seek of FFmpeg they may be shifted by half a sample. A silent part
        is not an error.

    Raises:
        AudioError: Nothing can be decoded at this position.
        OSError: The file cannot be opened.
    """
    status = path.stat()
    pcm = np.empty(0, dtype=np.int16)
    if n_here := _readable_by_libsndfile(path, status.st_size, status.st_mtime_ns):
        try:
            with libsndfile.open_sound(path) as file:
                pcm = libsndfile.excerpt(file, status.st_size, sample_rate, start, n_samples)
        except AudioError:
            pass  # The file is damaged at this position; FFmpeg may decode what follows.
        # Rounding in the resampler may cost one sample at the end.
        if len(pcm) >= min(n_samples, int(n_here * sample_rate) - start) - 1:
            return pcm
    blocks = ffmpeg.Decoding(path, sample_rate, start, n_samples)
    try:
        return np.concatenate([*blocks, np.empty(0, dtype=np.int16)])
    except AudioError:
        # FFmpeg failed too: the part that libsndfile decoded before the damage is all there is.
        if len(pcm):
            return pcm
        raise


# Cached because it takes as long as decoding a clip of a long MP3; there is room for the 106,574 tracks of FMA.
# Size and time of modification are arguments so that a file that has changed is examined again.
@lru_cache(maxsize=1 << 18)
def _readable_by_libsndfile(path: Path, size: int, mtime_ns: int) -> float:
    """Return the length of a file that libsndfile reads completely, s; 0 for all other files."""
    try:
        with libsndfile.open_sound(path) as file:
            layout = read_layout(path, file)
    except AudioError:
        return 0.0
    return layout.seconds if layout.is_for_libsndfile else 0.0
