"""Decode what libsndfile reads to mono PCM at one sample rate: a file, at once or block by block, or an excerpt."""

import math
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

INT16_SCALE: Final = 32768
"""Full scale of int16 PCM: a sample of -32768 is -1.0."""

DECODER: Final = f"libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__version__} HQ, mono int16, 2"
"""What determines the samples beside the file and the sample rate; the last number is this module's own."""

_MARGIN_SECONDS: Final = 0.1
"""Heard on both sides of an excerpt, so that the resampler gives what it gives in the whole file."""

_RESERVOIR_BITS: Final = 8 * 511
"""How far back a frame of MP3 may have put a part of its data. Decoding begins so many bits earlier, eight times over,
for where the bit rate varies it may be that far below its mean; found: 0.35 s before a seek at 12 kbit/s."""

_BLOCK: Final = 1 << 20
_FRAMES: Final = 1 << 16
_RATES: Final = (1_000, 1_000_000)
_LEAST_MP3_BYTES: Final = 1000  # a second: 8 kbit/s


NO_AUDIO: Final = "no audio that can be decoded"
"""How the reason begins where libsndfile makes nothing of a file."""


class AudioError(Exception):
    """A file that holds no usable audio; the text is the reason."""


class DecoderMissingError(AudioError):
    """A file that a program could decode which is not installed."""


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
    pcm = np.concatenate([*decode_blocks(path, sample_rate), np.empty(0, dtype=np.int16)])
    check_heard(len(pcm), bool(pcm.any()))
    return pcm


def decode_blocks(path: Path, sample_rate: int) -> Iterator[NDArray[np.int16]]:
    """Decode a file block by block, for files that may be longer than memory: joined, they are what `decode` gives.

    Raises:
        AudioError: The file is empty, is no audio, or holds non-finite samples. Silence is for the caller to find.
        OSError: The file cannot be opened.
    """
    with _opened(path) as file:
        if file.format == "MP3" and not _tells_its_length(path):
            source = _by_pipe(path)
        else:
            source = _blocks(file, _plausible_frames(file, path))
        yield from map(to_pcm, resample_blocks(source, file.samplerate, sample_rate))


def check_heard(n_samples: int, is_sound: bool) -> None:
    """Refuse a file of which nothing was heard.

    Raises:
        AudioError: It has no samples, or none but zeros.
    """
    if not n_samples:
        raise AudioError("no samples")
    if not is_sound:
        raise AudioError("nothing but silence")


def excerpt(path: Path, sample_rate: int, start: int, n_samples: int) -> NDArray[np.int16]:
    """Decode a part of a file without the rest: the samples that `decode` would have there, to a step or two.

    Args:
        path: As for `decode`.
        sample_rate: Sample rate of the result, Hz.
        start: First sample, at that rate.
        n_samples: How many; fewer are returned where the file ends.

    Returns:
        Samples, shape (n,); silence may be among them.

    Raises:
        AudioError: Nothing can be decoded there.
        OSError: The file cannot be opened.
    """
    with _opened(path) as file:
        # From a moment that falls on a sample at both rates.
        divisor = math.gcd(file.samplerate, sample_rate)
        source_step, step = file.samplerate // divisor, sample_rate // divisor
        bit_rate = 8 * path.stat().st_size * file.samplerate / max(1, file.frames)
        before, after = _MARGIN_SECONDS + 8 * _RESERVOIR_BITS / bit_rate, _MARGIN_SECONDS
        first = max(0, start // step - math.ceil(before * sample_rate / step))
        last = math.ceil((start + n_samples) / step + after * sample_rate / step)
        if first * source_step >= file.frames:
            return np.empty(0, dtype=np.int16)
        file.seek(first * source_step)
        waveform = _read(file, (last - first) * source_step)
        pcm = np.concatenate([*map(to_pcm, resample_blocks([waveform], file.samplerate, sample_rate))])
    skipped = start - first * step
    return pcm[skipped : skipped + n_samples]


def length(path: Path, sample_rate: int) -> int:
    """Tell from a file's header how many samples it has at a sample rate, once its beginning has been decoded.

    Raises:
        AudioError: The beginning cannot be decoded.
        OSError: The file cannot be opened.
    """
    with _opened(path) as file:
        seconds = _plausible_frames(file, path) / file.samplerate
    if not len(excerpt(path, sample_rate, 0, sample_rate)):
        raise AudioError("no samples")
    return int(seconds * sample_rate)


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """One that does not seek behind each block: an MP3 of a low bit rate then lacks the data of frames before."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if path.stat().st_size == 0:
        raise AudioError("an empty file")
    # Opened here, so that a file that may not be read is an OSError and not "unknown format".
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _SoundFile(descriptor, closefd=False) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{NO_AUDIO} (libsndfile: {error.error_string})") from error
    finally:
        os.close(descriptor)


def _tells_its_length(path: Path) -> bool:
    """Tell whether an MP3 has the header of an encoder in its first frame; else its length is a guess.

    libsndfile guesses from the bit rate of the first frame, and at a varying bit rate it loses the end.
    """
    with path.open("rb") as file:
        head = file.read(10)
        tag = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
        file.seek(tag if head.startswith(b"ID3") else 0)
        frame = file.read(2048)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def _by_pipe(path: Path) -> Iterator[NDArray[np.float32]]:
    """Read by way of a pipe, of which libsndfile does not guess the length."""
    reading, writing = os.pipe()
    failed: list[OSError] = []

    def feed() -> None:
        try:
            with open(writing, "wb") as pipe, path.open("rb") as source:
                while block := source.read(_BLOCK):
                    pipe.write(block)
        except BrokenPipeError:
            pass  # The decoder has had enough.
        except OSError as error:
            failed.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with _SoundFile(reading, closefd=False) as file:
            # Few at once, for where a pipe breaks off within a frame, the block that was being read is lost.
            yield from _blocks(file, sys.maxsize, at_once=1 << 13)
    finally:
        os.close(reading)
        feeder.join()
    if failed:
        raise failed[0]


def _plausible_frames(file: soundfile.SoundFile, path: Path) -> int:
    """Tell how many frames a file claims to have, or, where an MP3 claims more than it can have, so many."""
    frames: int = file.frames
    return min(frames, path.stat().st_size * file.samplerate // _LEAST_MP3_BYTES) if file.format == "MP3" else frames


def _read(file: soundfile.SoundFile, n_frames: int) -> NDArray[np.float32]:
    # In a damaged file a seek may end behind the end, which soundfile takes for an array of negative length.
    n_frames = min(n_frames, file.frames - file.tell())
    return np.concatenate([*_blocks(file, n_frames), np.empty(0, dtype=np.float32)])


def _blocks(file: soundfile.SoundFile, n_frames: int, at_once: int = _FRAMES) -> Iterator[NDArray[np.float32]]:
    """Read on, to where a file ends or breaks off: a damaged header may claim more than there is memory for."""
    read = 0
    try:
        while n_frames > read:
            block = _mono(file.read(min(n_frames - read, at_once), dtype="float32", always_2d=True))
            if not len(block):
                break
            read += len(block)
            yield block
    except soundfile.LibsndfileError:
        if not read:
            raise


def _mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0]
    # A product with 1/channels is several times as fast as numpy's mean over the short axis.
    return samples @ np.full(channels, 1 / channels, dtype=np.float32)


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], file_rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a waveform that comes block by block.

    Raises:
        AudioError: The rate is none that music has, and would make more of a file than there is memory for.
    """
    if not _RATES[0] <= file_rate <= _RATES[1]:
        raise AudioError(f"a sample rate of {file_rate:,} Hz")
    if file_rate == sample_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(file_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def to_pcm(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """Bring a waveform of full scale 1 to int16, which it is written over for.

    Raises:
        AudioError: There are samples that are not finite.
    """
    if not np.isfinite(np.abs(waveform).max(initial=0)):
        raise AudioError("samples that are not finite")
    np.multiply(waveform, INT16_SCALE, out=waveform)
    return np.rint(waveform, out=waveform).clip(-INT16_SCALE, INT16_SCALE - 1, out=waveform).astype(np.int16)
