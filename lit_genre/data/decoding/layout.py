"""Read the length of a file from its structure, without decoding it, and select the decoder that reads all of it."""

from pathlib import Path
from typing import Final, NamedTuple

import soundfile

from lit_genre.data.decoding.mp3 import scan_mp3
from lit_genre.data.decoding.ogg import scan_ogg
from lit_genre.data.decoding.riff import missing_share
from lit_genre.data.decoding.status import TOLERANCE_SECONDS

_UNKNOWN_FRAMES: Final = 1 << 48
"""libsndfile returns the largest integer for an unknown length. So many frames are 186 years at 48 kHz."""


class Layout(NamedTuple):
    """Length and damage of a file, from its structure.

    Attributes:
        seconds: Length of the audio in the file, s; 0 if unknown.
        declared_seconds: Length that the complete file had, s; 0 if unknown.
        damaged_seconds: Length of the damaged parts inside the file, s.
        is_for_libsndfile: Whether libsndfile reads all of the file and mixes its channels correctly.
    """

    seconds: float = 0.0
    declared_seconds: float = 0.0
    damaged_seconds: float = 0.0
    is_for_libsndfile: bool = False


def read_layout(path: Path, file: soundfile.SoundFile) -> Layout:
    """Read the structure of a file that libsndfile opens.

    Args:
        path: The file.
        file: The same file, opened by libsndfile.

    Returns:
        The layout; values that the format does not contain are 0.

    Raises:
        OSError: The file cannot be read.
    """
    seconds = file.frames / file.samplerate if file.frames < _UNKNOWN_FRAMES else 0.0
    # libsndfile does not report the positions of channels, which the downmix of more than two needs. FFmpeg does.
    is_narrow = file.channels <= 2
    if file.format in ("MP3", "MPEG"):
        # Where an MP3 is damaged, libsndfile may count too few frames and then stops too early.
        if layout := read_mp3_layout(path):
            return layout._replace(
                is_for_libsndfile=layout.is_for_libsndfile and seconds > layout.seconds - TOLERANCE_SECONDS
            )
    elif file.format == "OGG":
        # libsndfile reads only the first of several chained streams, and reports the length of that one.
        if pages := scan_ogg(path):
            return Layout(pages.seconds, pages.seconds, 0.0, pages.is_contiguous and is_narrow)
    elif missing := missing_share(path):
        # libsndfile corrects the number of frames to those that are in the file, without reporting it.
        return Layout(seconds, seconds / max(1 - missing, 1e-9), 0.0, is_narrow and seconds > 0)
    return Layout(seconds, seconds, 0.0, is_narrow and file.frames > 0)


def read_layout_of_refused(path: Path) -> Layout:
    """Read the structure of a file that libsndfile does not open, if it is MP3 or Ogg.

    libsndfile refuses an MP3 that does not begin with a frame, and FLAC and Speex in Ogg.

    Args:
        path: The file.

    Returns:
        The layout; all its values are 0 for other formats.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        is_ogg = file.read(4) == b"OggS"
    if is_ogg and (pages := scan_ogg(path)):
        return Layout(pages.seconds, pages.seconds)
    return (read_mp3_layout(path) if path.suffix.lower() == ".mp3" else None) or Layout()


def read_mp3_layout(path: Path) -> Layout | None:
    """Read the structure of an MP3.

    Args:
        path: The file, which must not be empty.

    Returns:
        The layout; None if the file is not an MP3.

    Raises:
        OSError: The file cannot be read.
    """
    frames = scan_mp3(path)
    if frames is None:
        return None
    # The encoder's header may be missing or wrong. The file was at least as long as its frames and the damage.
    whole = max(frames.declared_seconds, frames.seconds + frames.lost_seconds)
    return Layout(frames.seconds, whole, frames.lost_seconds, frames.is_contiguous)
