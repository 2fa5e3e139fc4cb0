"""Write audio files of many formats, by PyAV and, where FFmpeg writes no such files, byte by byte."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import av
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import correlate

from lit_genre.data.decoding.pcm import INT16_SCALE

RATE: Final = 22050
"""Sample rate of what the tests decode to, Hz."""

LAYOUTS: Final = MappingProxyType({1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"})
"""Names of layouts in FFmpeg, by number of channels."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Format(NamedTuple):
    """How PyAV writes a kind of file.

    Attributes:
        container: FFmpeg's name of the muxer.
        codec: FFmpeg's name of the encoder.
        rate: Sample rate, Hz.
        n_channels: Number of channels.
        kbit: Bit rate, kbit/s; None where the encoder has none.
        muxer: Options of the muxer.
        encoder: Options of the encoder.
        sample_format: FFmpeg's name of the format of samples; None for the encoder's first one.
    """

    container: str
    codec: str
    rate: int = 44100
    n_channels: int = 2
    kbit: int | None = None
    muxer: Mapping[str, str] = _NONE
    encoder: Mapping[str, str] = _NONE
    sample_format: str | None = None


MP3: Final = Format("mp3", "libmp3lame", kbit=128, muxer={"id3v2_version": "0"})
PLAIN_MP3: Final = MP3._replace(muxer={"id3v2_version": "0", "write_xing": "0"})
"""An MP3 without the frame in which an encoder declares the number of frames."""


def song(seconds: float, rate: int = 44100, n_channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Make noise whose spectrum falls like that of music, different in each channel.

    Returns:
        Samples, shape (t, channels), full scale 1.
    """
    n_samples = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal((n_samples, n_channels))
    spectrum = np.fft.rfft(noise, axis=0)
    hertz = np.fft.rfftfreq(n_samples, 1 / rate)[:, None]
    spectrum *= np.where((hertz > 60) & (hertz < 3000), 1 / np.maximum(hertz, 1), 0)
    waveform = np.fft.irfft(spectrum, n_samples, axis=0)
    return np.asarray(0.12 * waveform / waveform.std(0), dtype=np.float32)


def write(path: Path, samples: NDArray[np.float32], kind: Format) -> Path:
    """Write samples, shape (t, channels), at the sample rate of a format; return the path."""
    with av.open(str(path), "w", format=kind.container, options=dict(kind.muxer)) as container:
        layout = LAYOUTS[samples.shape[1]]
        options = {"strict": "-2", **kind.encoder}
        stream: Any = container.add_stream(kind.codec, rate=kind.rate, layout=layout, options=options)
        if kind.kbit is not None:
            stream.bit_rate = 1000 * kind.kbit
        if kind.sample_format is not None:
            stream.format = kind.sample_format
        # Interleaved: PyAV 18 reads a ninth plane of eight.
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.time_base, frame.pts = kind.rate, Fraction(1, kind.rate), 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def decode_by_pyav(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode in this process, without all that the package adds.

    Returns:
        Samples, shape (t, channels), full scale 1, and their sample rate, Hz.
    """
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", stream.layout, stream.rate)
        frames = [frame for decoded in container.decode(stream) for frame in resampler.resample(decoded)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T, stream.rate


def as_mono(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return the mean of the channels at `RATE`, shape (t,), full scale 32768."""
    mono = samples.mean(1, dtype=np.float32)
    return np.asarray(mono if rate == RATE else soxr.resample(mono, rate, RATE)) * np.float32(INT16_SCALE)


def correlation(one: NDArray[Any], other: NDArray[Any], max_lag_seconds: float = 0.05) -> float:
    """Return the correlation of two waveforms at `RATE`, aligned by at most so much: encoders put silence first."""
    length, max_lag = min(len(one), len(other)), round(max_lag_seconds * RATE)
    one, other = one[:length].astype(np.float64), other[:length].astype(np.float64)
    products = correlate(one, other, "full")[length - 1 - max_lag : length + max_lag]
    lag = int(products.argmax()) - max_lag
    one, other = one[max(0, lag) :], other[max(0, -lag) :]
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


def id3v2(n_bytes: int) -> bytes:
    """Make an ID3v2 tag with padding, as a cover takes, of 10 bytes and so many."""
    return b"ID3\x03\x00\x00" + bytes(n_bytes >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(n_bytes)


def verbatim_flac(samples: NDArray[np.float32], rate: int, bits: int) -> bytes:
    """Make a FLAC file of uncompressed frames.

    Args:
        samples: Shape (t, channels), full scale 1.
        rate: Hz.
        bits: Bits a sample: 8, 12, 16, 20 or 24, of which FFmpeg's encoder writes 16 and 24 only.
    """
    integers = np.rint(samples * (1 << bits - 1)).astype(np.int64)
    n_samples, n_channels = integers.shape
    info = struct.pack(">HH6xQ16x", 4096, 4096, rate << 44 | n_channels - 1 << 41 | bits - 1 << 36 | n_samples)
    content = b"fLaC\x80\x00\x00\x22" + info
    size_code = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6}[bits]
    for number, first in enumerate(range(0, n_samples, 4096)):
        block = integers[first : first + 4096]
        # Number of samples in 16 bits at the end, the rate of the whole file, independent channels.
        header = b"\xff\xf8\x70" + bytes([n_channels - 1 << 4 | size_code << 1]) + chr(number).encode()
        header += struct.pack(">H", len(block) - 1)
        frame = header + bytes([_crc(header, 8, 0x07)])
        written = "".join(
            "00000010" + "".join(f"{value & (1 << bits) - 1:0{bits}b}" for value in channel.tolist())
            for channel in block.T
        )
        frame += int(written.ljust(-(-len(written) // 8) * 8, "0"), 2).to_bytes(-(-len(written) // 8))
        content += frame + struct.pack(">H", _crc(frame, 16, 0x8005))
    return content


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    checksum = 0
    for byte in content:
        checksum ^= byte << bits - 8
        for _ in range(8):
            checksum = (checksum << 1 ^ polynomial * (checksum >> bits - 1)) & (1 << bits) - 1
    return checksum
