"""Find out how long a file is, and decode parts of it, without decoding it as a whole."""

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
    """Measure the length of a file, from its structure if possible instead of by decoding all of it.

    Args:
        path: The file.
        sample_rate: Sample rate of the number of samples, Hz.

    Returns:
        Number of samples, and how much of the file they are.

    Raises:
        AudioError: As for `decode_track`, if the beginning or the end of the file shows it.
        OSError: The file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    try:
        with libsndfile.open_sound(path) as file:
            layout = read_layout(path, file)
    except AudioError:
        layout = Layout()
        seconds = 0.0 if missing_share(path) else ffmpeg.declared_seconds(path)
    else:
        seconds = layout.seconds if layout.is_for_libsndfile else 0.0
    n_samples = int(min(seconds, MAX_SECONDS) * sample_rate)
    # A header may declare what is not there.
    if n_samples < MIN_SECONDS * sample_rate or not all(
        len(excerpt(path, sample_rate, start, sample_rate)) for start in (0, max(0, n_samples - sample_rate))
    ):
        with decode_track(path, sample_rate) as audio:
            return audio.n_samples, audio.status
    return n_samples, judge(max(0.0, layout.declared_seconds - seconds), layout.damaged_seconds)


def excerpt(path: Path, sample_rate: int, start: int, n_samples: int) -> NDArray[np.int16]:
    """Decode a part of a file without the rest, where its format has a way to find it.

    Args:
        path: As for `decode_track`.
        sample_rate: Of the result, Hz.
        start: First sample, at that rate.
        n_samples: Number of samples; fewer are returned at the end of the file.

    Returns:
        Samples, shape (n,), to a step or two those of `decode_track` there; silence may be among them.

    Raises:
        AudioError: Nothing can be decoded there.
        OSError: The file cannot be opened.
    """
    status = path.stat()
    pcm = np.empty(0, dtype=np.int16)
    if n_here := _readable_by_libsndfile(path, status.st_size, status.st_mtime_ns):
        try:
            with libsndfile.open_sound(path) as file:
                pcm = libsndfile.excerpt(file, status.st_size, sample_rate, start, n_samples)
        except AudioError:
            pass  # A damaged place, which FFmpeg may read past.
        # The last step may be rounded away.
        if len(pcm) >= min(n_samples, int(n_here * sample_rate) - start) - 1:
            return pcm
    blocks = ffmpeg.Decoding(path, sample_rate, start, n_samples)
    try:
        return np.concatenate([*blocks, np.empty(0, dtype=np.int16)])
    except AudioError:
        if len(pcm):
            return pcm
        raise


@lru_cache(maxsize=1 << 18)
def _readable_by_libsndfile(path: Path, size: int, mtime_ns: int) -> float:
    """Return how many seconds libsndfile reads of a file; 0 where it does not read all of it.

    To find out takes as long as to decode a clip of a long MP3.
    """
    try:
        with libsndfile.open_sound(path) as file:
            layout = read_layout(path, file)
    except AudioError:
        return 0.0
    return layout.seconds if layout.is_for_libsndfile else 0.0
