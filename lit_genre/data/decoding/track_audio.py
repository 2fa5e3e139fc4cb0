"""Decode a file of any format by the decoder that reads all of it, and report which parts could not be decoded.

libsndfile decodes the files that it reads completely. FFmpeg's libraries decode all others, and also those in which
libsndfile stops before the declared length.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from lit_genre.data.decoding import ffmpeg, libsndfile
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.layout import Layout, read_layout, read_layout_of_refused
from lit_genre.data.decoding.pcm import FiniteCounter
from lit_genre.data.decoding.riff import missing_share
from lit_genre.data.decoding.status import COMPLETE, TOLERANCE_SECONDS, TrackStatus, judge

DECODER: Final = (
    f"libsndfile {soundfile.__libsndfile_version__}, PyAV {version('av')}, soxr {soxr.__version__} HQ, mono int16, 3"
)
"""Everything but the file and the sample rate that determines the samples, so part of the name of a store. Increase the
last number when this package decodes differently than before."""

MIN_SECONDS: Final = 0.02
"""Shorter files are refused, s: they are not music, but usually the remains of a damaged file."""

MAX_SECONDS: Final = 24 * 3600.0
"""Longer files are refused, s: a damaged or hostile file may declare any length, and would fill the disk."""

_PRIMING_SECONDS: Final = 0.05
"""Declared lengths may include samples, s, that encoders put before the audio and decoders trim: 2,112 in AAC."""

_SAMPLE_BYTES: Final = 2
_IN_MEMORY: Final = 1 << 21
"""Bytes of samples kept in memory, 48 s at 22,050 Hz; more go to a temporary file."""


@dataclass
class TrackAudio:
    """A decoded file, as a context manager that removes the temporary file.

    Attributes:
        pcm: Mono int16 samples, full scale 32768, as bytes in memory or in a temporary file.
        n_samples: Number of samples.
        status: Whether parts of the file are missing.
    """

    pcm: IO[bytes]
    n_samples: int
    status: TrackStatus

    def read(self, start: int, out: NDArray[np.int16]) -> int:
        """Read samples into an array.

        Args:
            start: Position of the first sample to read.
            out: Array to fill, shape (n,), int16 PCM.

        Returns:
            Number of samples read; less than n at the end of the track.
        """
        self.pcm.seek(start * _SAMPLE_BYTES)
        samples = np.frombuffer(self.pcm.read(out.nbytes), dtype=np.int16)
        out[: len(samples)] = samples
        return len(samples)

    def read_clip(self, start: int, out: NDArray[np.int16]) -> None:
        """Read samples into an array; at the end of the track, repeat them until the array is full.

        Args:
            start: Position of the first sample to read, before the end of the track.
            out: Array to fill, shape (n,), int16 PCM.
        """
        out[:] = np.resize(out[: self.read(start, out)], len(out))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.pcm.close()


def decode_track(
    path: Path, sample_rate: int, max_seconds: float = MAX_SECONDS, folder: Path | None = None
) -> TrackAudio:
    """Decode a file of any length in bounded memory, mix its channels to mono and resample it.

    Channels are mixed by ITU-R BS.775, without the low-frequency channel; of a stereo file that is the mean. Samples
    beyond full scale, which decoders of lossy formats produce, are clipped. Samples that are not finite become silence.

    Args:
        path: A file of any format that libsndfile or FFmpeg decodes, at any sample rate.
        sample_rate: Sample rate of the result, Hz.
        max_seconds: Longest accepted length, s.
        folder: Folder for the temporary file of a long track; None for the default of the system.

    Returns:
        The samples and the status. Use it as a context manager, which deletes the temporary file.

    Raises:
        AudioError: The file is empty or silent, has no audio that can be decoded, or is shorter than 0.02 s or longer
            than max_seconds.
        OSError: The file cannot be opened.
    """
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    samples = _Samples(sample_rate, min(max_seconds, MAX_SECONDS), folder)
    try:
        status = _decode_into(samples, path, sample_rate)
        samples.check()
    except BaseException:
        samples.pcm.close()
        raise
    return TrackAudio(samples.pcm, samples.n_samples, status)


def decode(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Decode a whole file into memory.

    Args:
        path: A file of any format that libsndfile or FFmpeg decodes.
        sample_rate: Sample rate of the result, Hz.

    Returns:
        Mono samples, shape (t,), int16, full scale 32768.

    Raises:
        AudioError: The file cannot be used, for one of the reasons of `decode_track`.
        OSError: The file cannot be opened.
    """
    with decode_track(path, sample_rate) as audio:
        pcm = np.empty(audio.n_samples, dtype=np.int16)
        audio.read(0, pcm)
    return pcm


class _Samples:
    """Collects the samples of a file from a decoder."""

    def __init__(self, sample_rate: int, max_seconds: float, folder: Path | None) -> None:
        # A store passes a folder of its own disk, because the system's temporary folder may be in memory.
        self.pcm: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115
        self.n_samples = 0
        self._is_sound = False
        self._sample_rate, self._max_seconds, self._folder = sample_rate, max_seconds, folder

    @property
    def seconds(self) -> float:
        return self.n_samples / self._sample_rate

    def fill(self, blocks: Iterable[NDArray[np.int16]]) -> None:
        for block in blocks:
            self.pcm.write(block.data)
            self.n_samples += len(block)
            self._is_sound = self._is_sound or bool(block.any())
            # Checked for each block, because the declared length may be wrong.
            if self.seconds > self._max_seconds:
                raise _TooLongError(f"longer than {self._max_seconds:g} s")

    def another(self) -> "_Samples":
        """Return an empty collector with the same settings."""
        return _Samples(self._sample_rate, self._max_seconds, self._folder)

    def take(self, other: "_Samples") -> None:
        """Replace these samples by those of another collector."""
        self.pcm.close()
        self.pcm, self.n_samples, self._is_sound = other.pcm, other.n_samples, other._is_sound

    def check(self) -> None:
        """Raise an AudioError for files that are empty, too short or silent."""
        if not self.n_samples:
            raise AudioError("no samples")
        if self.seconds < MIN_SECONDS:
            raise AudioError(f"only {self.seconds:.4f} s of sound")
        if not self._is_sound:
            raise AudioError("nothing but silence")


class _TooLongError(AudioError):
    """Raised for a file that is too long, which no other decoder should try."""


def _decode_into(samples: _Samples, path: Path, sample_rate: int) -> TrackStatus:
    """Decode by libsndfile if it reads all of the file, else by FFmpeg; keep the longer result."""
    layout, is_damaged = Layout(), False
    try:
        with libsndfile.open_sound(path) as file:
            layout = read_layout(path, file)
            if layout.is_for_libsndfile:
                # FLAC has checksums. If libsndfile stops, the file is damaged, even if FFmpeg decodes all of it.
                is_damaged = file.format == "FLAC"
                finite = FiniteCounter()
                samples.fill(libsndfile.decode_blocks(file, sample_rate, finite))
                # All audio in the file is then decoded, and the rest of the declared length is not in it.
                if samples.seconds > layout.seconds - TOLERANCE_SECONDS:
                    missing = layout.declared_seconds - samples.seconds
                    return judge(missing, layout.damaged_seconds, finite.n_replaced / file.samplerate)
    except _TooLongError:
        raise
    except AudioError:
        layout = layout if layout.seconds else read_layout_of_refused(path)
    # Collected separately, because FFmpeg may decode less than libsndfile did.
    second = samples.another()
    decoding = ffmpeg.Decoding(path, sample_rate)
    try:
        second.fill(decoding)
    except BaseException as error:
        second.pcm.close()
        # FFmpeg failed, so the samples of libsndfile are used if there are any.
        if not isinstance(error, AudioError) or isinstance(error, _TooLongError) or not samples.n_samples:
            raise
        return judge(layout.declared_seconds - samples.seconds, layout.damaged_seconds)
    if second.n_samples >= samples.n_samples:
        samples.take(second)
    else:
        second.pcm.close()
    outcome = decoding.outcome
    if layout.declared_seconds:
        # Damage that FFmpeg decoded nevertheless is no loss, so the gaps count only up to the missing length.
        missing, gaps = layout.declared_seconds - samples.seconds, max(layout.damaged_seconds, outcome.gap_seconds)
        status = judge(missing, min(gaps, missing), outcome.silenced_seconds)
        return TrackStatus("recovered") if is_damaged and status is COMPLETE else status
    missing = outcome.declared_seconds - samples.seconds - _PRIMING_SECONDS if outcome.declared_seconds else 0.0
    # The part that is missing in WAV and similar files, scaled from the decoded length; 1e-9 avoids a division by zero.
    share = missing_share(path)
    missing = max(missing, samples.seconds * share / max(1 - share, 1e-9))
    return judge(missing, outcome.gap_seconds, outcome.silenced_seconds)
