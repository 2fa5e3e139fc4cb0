"""Decode a file of any format by the decoder that reads all of it, and report what could not be decoded.

libsndfile decodes what it reads as a whole; FFmpeg's libraries decode all else, and are the second opinion where
libsndfile stops before the length that the file declares.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, NamedTuple, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from lit_genre.data.decoding import ffmpeg, libsndfile
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.mp3 import scan_mp3
from lit_genre.data.decoding.ogg import scan_ogg
from lit_genre.data.decoding.pcm import FiniteCounter
from lit_genre.data.decoding.riff import missing_share

DECODER: Final = (
    f"libsndfile {soundfile.__libsndfile_version__}, PyAV {version('av')}, soxr {soxr.__version__} HQ, mono int16, 3"
)
"""What determines the samples beside the file and the sample rate; the last number is this package's own."""

MIN_SECONDS: Final = 0.02
"""Less sound than this is no music, and such files are the remains of something else."""

_TOLERANCE_SECONDS: Final = 0.05
"""Two frames of MP3: encoders and containers disagree by so much about where sound begins and ends."""

_MAX_SECONDS: Final = 24 * 3600.0
"""A damaged or hostile file may declare any length, and would fill the disk."""

_PRIMING_SECONDS: Final = 0.05
"""Containers may count samples which the encoder put before the sound, and which are trimmed: 2,112 of AAC."""

_UNKNOWN_FRAMES: Final = 1 << 48
"""libsndfile gives the largest integer for a length that it does not know."""

_SAMPLE_BYTES: Final = 2
_IN_MEMORY: Final = 1 << 21
"""Bytes of samples kept in memory, 48 s at 22,050 Hz; more go to a temporary file."""

StatusKind = Literal["complete", "recovered", "truncated"]


@dataclass(frozen=True)
class TrackStatus:
    """How much of a file was decoded.

    Attributes:
        kind: "complete"; "recovered" where parts inside the file are missing; "truncated" where its end is.
        seconds_lost: Length of what is missing, s, as far as the file tells; 0 if complete.
    """

    kind: StatusKind = "complete"
    seconds_lost: float = 0.0

    def describe(self, seconds: float) -> str:
        """Return a note for people, "" if complete.

        Args:
            seconds: Length of what was decoded, s.
        """
        if self.kind == "complete":
            return ""
        where = "its end is missing" if self.kind == "truncated" else "it is damaged"
        return (
            f"{self.kind}: {where}, {self.seconds_lost:.1f} of {seconds + self.seconds_lost:.1f} s could not be decoded"
        )


COMPLETE: Final = TrackStatus()


@dataclass
class TrackAudio:
    """A decoded file, as a context manager that removes the temporary file.

    Attributes:
        pcm: Mono int16 samples, full scale 32768, in memory or in a temporary file.
        n_samples: How many there are.
        status: How much of the file they are.
    """

    pcm: IO[bytes]
    n_samples: int
    status: TrackStatus

    def read(self, start: int, out: NDArray[np.int16]) -> int:
        """Read samples from `start` on into `out`, shape (n,); return how many there were."""
        self.pcm.seek(start * _SAMPLE_BYTES)
        samples = np.frombuffer(self.pcm.read(out.nbytes), dtype=np.int16)
        out[: len(samples)] = samples
        return len(samples)

    def read_clip(self, start: int, out: NDArray[np.int16]) -> None:
        """Read samples from `start` on into `out`, shape (n,), and repeat them to its end."""
        out[:] = np.resize(out[: self.read(start, out)], len(out))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.pcm.close()


def decode_track(
    path: Path, sample_rate: int, max_seconds: float = _MAX_SECONDS, folder: Path | None = None
) -> TrackAudio:
    """Decode a file of any length in bounded memory, mix its channels to mono and resample it.

    Channels are mixed by ITU-R BS.775, without the low-frequency channel; of a stereo file that is the mean. Samples
    beyond full scale, which decoders of lossy formats produce, are clipped. Samples that are not finite become silence.

    Args:
        path: A file of any format that libsndfile or FFmpeg decodes, at any sample rate.
        sample_rate: Sample rate of the result, Hz.
        max_seconds: Longer files are refused.
        folder: Folder for the temporary file of a long one; None for the system's.

    Returns:
        The samples, and how much of the file they are.

    Raises:
        AudioError: The file is empty, has no sound that can be decoded, nothing but silence, less than 0.02 s, or more
            than max_seconds.
        OSError: The file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    samples = _Samples(sample_rate, min(max_seconds, _MAX_SECONDS), folder)
    try:
        status = _decode_into(samples, path, sample_rate)
        samples.check()
    except BaseException:
        samples.pcm.close()
        raise
    return TrackAudio(samples.pcm, samples.n_samples, status)


def decode(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Decode a whole file into memory, as `decode_track` does.

    Returns:
        Samples, shape (t,), full scale 32768.

    Raises:
        AudioError: As for `decode_track`.
        OSError: The file cannot be opened.
    """
    with decode_track(path, sample_rate) as audio:
        pcm = np.empty(audio.n_samples, dtype=np.int16)
        audio.read(0, pcm)
    return pcm


class _Samples:
    """The samples of one file as they come from a decoder."""

    def __init__(self, sample_rate: int, max_seconds: float, folder: Path | None) -> None:
        self.pcm: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115
        self.n_samples = 0
        self._is_sound = False
        self._sample_rate, self._max_seconds, self._folder = sample_rate, max_seconds, folder

    @property
    def seconds(self) -> float:
        return self.n_samples / self._sample_rate

    def fill(self, blocks: Iterable[NDArray[np.int16]]) -> None:
        for block in blocks:
            self.pcm.write(block.tobytes())
            self.n_samples += len(block)
            self._is_sound = self._is_sound or bool(block.any())
            if self.seconds > self._max_seconds:
                raise _TooLongError(f"longer than {self._max_seconds:g} s")

    def another(self) -> "_Samples":
        """Return an empty one like this."""
        return _Samples(self._sample_rate, self._max_seconds, self._folder)

    def take(self, other: "_Samples") -> None:
        """Replace these samples."""
        self.pcm.close()
        self.pcm, self.n_samples, self._is_sound = other.pcm, other.n_samples, other._is_sound

    def check(self) -> None:
        """Refuse what is no sound."""
        if not self.n_samples:
            raise AudioError("no samples")
        if self.seconds < MIN_SECONDS:
            raise AudioError(f"only {self.seconds:.4f} s of sound")
        if not self._is_sound:
            raise AudioError("nothing but silence")


class _TooLongError(AudioError):
    """A file that no decoder should try again."""


class _Layout(NamedTuple):
    """What the structure of a file tells before it is decoded.

    Attributes:
        seconds: Length of the sound that is there; 0 if unknown.
        declared_seconds: Length that the whole file had; 0 if unknown.
        damaged_seconds: Length of what is no sound any more inside of it.
        is_for_libsndfile: Whether libsndfile reads all of it.
    """

    seconds: float = 0.0
    declared_seconds: float = 0.0
    damaged_seconds: float = 0.0
    is_for_libsndfile: bool = False


def _layout(path: Path, file: soundfile.SoundFile) -> _Layout:
    """Read the structure of a file that libsndfile opens."""
    seconds = file.frames / file.samplerate if file.frames < _UNKNOWN_FRAMES else 0.0
    # libsndfile does not tell which channel is which.
    is_narrow = file.channels <= 2
    if file.format in ("MP3", "MPEG"):
        if layout := _mp3_layout(path):
            return layout._replace(
                is_for_libsndfile=layout.is_for_libsndfile and seconds > layout.seconds - _TOLERANCE_SECONDS
            )
    elif file.format == "OGG":
        if pages := scan_ogg(path):
            return _Layout(pages.seconds, pages.seconds, 0.0, pages.is_contiguous and is_narrow)
    elif missing := missing_share(path):
        return _Layout(seconds, seconds / max(1 - missing, 1e-9), 0.0, is_narrow and seconds > 0)
    return _Layout(seconds, seconds, 0.0, is_narrow and file.frames > 0)


def _mp3_layout(path: Path) -> _Layout | None:
    """Read the structure of an MP3; None where it is none."""
    frames = scan_mp3(path)
    if frames is None:
        return None
    whole = max(frames.declared_seconds, frames.seconds + frames.lost_seconds)
    return _Layout(frames.seconds, whole, frames.lost_seconds, frames.is_contiguous)


def _decode_into(samples: _Samples, path: Path, sample_rate: int) -> TrackStatus:
    """Decode by libsndfile where it reads all of a file, else by FFmpeg, and keep what is longer."""
    layout, is_damaged = _Layout(), False
    try:
        with libsndfile.open_sound(path) as file:
            layout = _layout(path, file)
            if layout.is_for_libsndfile:
                # Frames of FLAC have checksums: where libsndfile stops it is damaged, even if FFmpeg decodes all of it.
                is_damaged = file.format == "FLAC"
                finite = FiniteCounter()
                samples.fill(libsndfile.decode_blocks(file, sample_rate, finite))
                if samples.seconds > layout.seconds - _TOLERANCE_SECONDS:
                    missing = layout.declared_seconds - samples.seconds
                    return _status(missing, layout.damaged_seconds, finite.n_replaced / file.samplerate)
    except _TooLongError:
        raise
    except AudioError:
        # libsndfile refuses an MP3 that does not begin with a frame.
        if path.suffix.lower() == ".mp3":
            layout = _mp3_layout(path) or layout
    second = samples.another()
    decoding = ffmpeg.Decoding(path, sample_rate)
    try:
        second.fill(decoding)
    except BaseException as error:
        second.pcm.close()
        # What libsndfile decoded is then all there is.
        if not isinstance(error, AudioError) or isinstance(error, _TooLongError) or not samples.n_samples:
            raise
        return _status(layout.declared_seconds - samples.seconds, layout.damaged_seconds)
    samples.take(second) if second.n_samples >= samples.n_samples else second.pcm.close()
    outcome = decoding.outcome
    if layout.declared_seconds:
        missing, gaps = layout.declared_seconds - samples.seconds, max(layout.damaged_seconds, outcome.gap_seconds)
        status = _status(missing, min(gaps, missing), outcome.silenced_seconds)
        return TrackStatus("recovered") if is_damaged and status is COMPLETE else status
    missing = outcome.declared_seconds - samples.seconds - _PRIMING_SECONDS if outcome.declared_seconds else 0.0
    return _status(missing, outcome.gap_seconds, outcome.silenced_seconds)


def _status(missing_seconds: float, gap_seconds: float, silenced_seconds: float = 0.0) -> TrackStatus:
    """Judge a decoded file.

    Args:
        missing_seconds: What it is shorter than it should be.
        gap_seconds: What is damaged inside of it, whether or not it is shorter for that.
        silenced_seconds: What was replaced by silence.
    """
    lost = max(missing_seconds, gap_seconds) + silenced_seconds
    if lost <= _TOLERANCE_SECONDS:
        return COMPLETE
    is_cut = missing_seconds - gap_seconds > _TOLERANCE_SECONDS
    return TrackStatus("truncated" if is_cut else "recovered", round(lost, 3))


def measure_track(path: Path, sample_rate: int) -> tuple[int, TrackStatus]:
    """Find out how long a file is without decoding all of it, where its structure tells.

    Returns:
        Number of samples at a sample rate, and how much of the file they are.

    Raises:
        AudioError: As for `decode_track`, as far as the beginning and the end of the file tell.
        OSError: The file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    try:
        with libsndfile.open_sound(path) as file:
            layout = _layout(path, file)
    except AudioError:
        layout = _Layout()
        seconds = ffmpeg.declared_seconds(path)
    else:
        seconds = layout.seconds if layout.is_for_libsndfile else 0.0
    n_samples = int(min(seconds, _MAX_SECONDS) * sample_rate)
    # A header may declare what is not there.
    if n_samples < MIN_SECONDS * sample_rate or not all(
        len(excerpt(path, sample_rate, start, sample_rate)) for start in (0, max(0, n_samples - sample_rate))
    ):
        with decode_track(path, sample_rate) as audio:
            return audio.n_samples, audio.status
    return n_samples, _status(max(0.0, layout.declared_seconds - seconds), layout.damaged_seconds)


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
            layout = _layout(path, file)
    except AudioError:
        return 0.0
    return layout.seconds if layout.is_for_libsndfile else 0.0
