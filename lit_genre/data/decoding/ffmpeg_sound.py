"""Decode a file to blocks of mono samples by FFmpeg's libraries; this module runs in the child process."""

import os
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.pcm import FiniteCounter, downmix_gains, mix_to_mono, resample_blocks, to_int16

NO_SOUND: Final = "a film or picture without sound"

# Audio containers. Formats that refer to other files or addresses, such as playlists, are left out for security, and so
# are pictures and texts.
_FORMATS: Final = (
    "3dostr aa aac ac3 ac4 acm act adp ads adx aea afc aiff alaw amr amrnb amrwb ape apm aptx aptx_hd argo_asf "
    "asf asf_o ast au avi avr bfstm binka bonk brstm caf codec2 dfpwm dsf dss dts dtshd dv ea eac3 epaf f32be "
    "f32le fsb flac flv fwse g722 g723_1 g726 g729 genh gsm gxf hca hcom iamf iff ilbc ircam iss laf lc3 loas "
    "matroska,webm mca mlp mmf mov,mp4,m4a,3gp,3g2,mj2 mp3 mpc mpc8 mpeg mpegts msf mtaf mulaw musx mxf "
    "nistsphere nsp nut nuv ogg oma osq pp_bnk pvf qcp qoa rka rl2 rm rsd rso sbc sdns sds sdx shn sln sol sox "
    "spdif svag svs tak truehd tta ty vag voc vqf w64 wav wavarc wsaud wsd wsvqa wtv wv wve xa xvag xwma"
)
_DEMUXERS: Final = {
    "format_whitelist": _FORMATS.replace(" ", ","),
    # FFmpeg reads the file object that it is given and must not open anything else.
    "protocol_whitelist": "none",
}

EXACT_FORMATS: Final = frozenset(
    "aiff ape asf au caf dsf flac iff matroska,webm mov,mp4,m4a,3gp,3g2,mj2 mpc mpc8 tak tta w64 wav wv".split()  # noqa: SIM905
)
"""Containers that declare their exact length."""

_INEXACT_CODECS: Final = ("adpcm", "wma", "g7")
"""Codecs whose packets have no exact times: a seek arrives at another position than the requested one."""

# 1.5 s at 44.1 kHz: little memory, and far fewer calls of the resampler than with a codec's own short frames.
_BLOCK_SAMPLES: Final = 1 << 16
_GAP_SECONDS: Final = 0.02
"""Smallest jump in the sample numbers of FLAC that is counted as a gap, s."""

_MANY_CHANNELS: Final = 8
"""From this number of channels on, PyAV 18 cannot read the planes of a frame."""


class FFmpegSound:
    """Decodes the audio stream of a file to blocks of mono samples.

    Args:
        path: The file.
        stream: The same file, open for reading bytes.

    Attributes:
        container: The open container, which the caller closes.
        stream: The audio stream that is decoded.
        gap_seconds: Length of the packets that could not be decoded so far, s.
        declared_seconds: Length that the container declares, s; 0 if it declares none, or an estimate only.
        format: FFmpeg's name of the container.
        seeks_exactly: Whether a seek arrives at the requested position.
        finite: Replaces samples that are not finite, and counts them.

    Raises:
        AudioError: FFmpeg cannot read the file, or it has no audio stream.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.container = open_container(path, stream)
        if not self.container.streams.audio:
            raise AudioError(NO_SOUND)
        best = self.container.streams.best("audio")
        self.stream = best if isinstance(best, AudioStream) else self.container.streams.audio[0]
        self.stream.codec_context.thread_count = 1  # Several files are decoded in parallel instead.
        self.format = self.container.format.name
        self.gap_seconds = 0.0
        self.declared_seconds = self._declared_seconds()
        self.seeks_exactly = self.declared_seconds > 0 and not self.stream.codec.name.startswith(_INEXACT_CODECS)
        self.finite = FiniteCounter()
        self.position = 0.0
        """Position of the first block, s; valid once that block is decoded."""

    def _declared_seconds(self) -> float:
        if self.format not in EXACT_FORMATS:
            return 0.0
        if self.format in ("wav", "w64") and not self.stream.codec.name.startswith(("pcm_", "adpcm_")):
            return 0.0  # For compressed audio the length is an estimate from the mean bit rate.
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        return (self.container.duration or 0) / 1e6  # FFmpeg's AV_TIME_BASE: microseconds.

    def blocks(self, sample_rate: int, start_seconds: float = 0.0) -> Iterator[NDArray[np.int16]]:
        """Decode to the end.

        Args:
            sample_rate: Sample rate of the result, Hz.
            start_seconds: Position from which to decode, s; the decoder may begin before it.

        Yields:
            Mono samples, shape (t,), int16, full scale 32768.
        """
        if start_seconds > 0:
            assert self.stream.time_base is not None
            self.container.seek(int(start_seconds / self.stream.time_base), stream=self.stream, backward=True)
        # The sample rate may change inside a file that was joined from several.
        for rate, blocks in groupby(self._mono(), itemgetter(0)):
            yield from map(to_int16, resample_blocks((self.finite(block) for _, block in blocks), rate, sample_rate))

    def _mono(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Decode to blocks of mono samples, each with its sample rate, Hz."""
        fifo: AudioFifo | None = None
        kind: tuple[str, str, int] | None = None
        gains = np.ones(1, dtype=np.float32)
        for frame in self._frames():
            now = frame.format.name, frame.layout.name, frame.sample_rate
            if now != kind:
                if fifo is not None and kind is not None and (rest := fifo.read(0, partial=True)) is not None:
                    yield kind[2], mix_to_mono(_samples(rest), gains)
                fifo, kind = AudioFifo(), now
                gains = downmix_gains([channel.name for channel in frame.layout.channels])
            frame.pts = None  # In joined files the times start again at 0, which the FIFO rejects.
            assert fifo is not None
            fifo.write(frame)
            while (full := fifo.read(_BLOCK_SAMPLES)) is not None:
                yield now[2], mix_to_mono(_samples(full), gains)
        if fifo is not None and kind is not None and (rest := fifo.read(0, partial=True)) is not None:
            yield kind[2], mix_to_mono(_samples(rest), gains)

    def _frames(self) -> Iterator[AudioFrame]:
        """Decode packet by packet; skip packets that cannot be decoded, and add up their lengths."""
        expected: float | None = None
        is_first = True
        for packet in self._packets():
            try:
                frames = self.stream.codec_context.decode(packet)
            except FFmpegError:
                if packet is not None and packet.duration and packet.time_base:
                    self.gap_seconds += float(packet.duration * packet.time_base)
                continue
            for frame in frames:
                if not frame.samples or not frame.sample_rate:
                    continue
                seconds = frame.samples / frame.sample_rate
                if frame.pts is not None and frame.time_base:
                    begin = float(frame.pts * frame.time_base)
                    if is_first:
                        self.position = begin
                    # FLAC numbers its samples. In other containers a pause between packets may be intended.
                    if self.format == "flac" and expected is not None and begin - expected > _GAP_SECONDS:
                        self.gap_seconds += begin - expected
                    expected = begin + seconds
                is_first = False
                yield frame

    def _packets(self) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, FFmpegError):  # A damaged container ends here; all before it is decoded.
                break
            if packet.size:
                yield packet
        yield None  # Makes the decoder return the frames that it still buffers.


def open_container(path: Path, stream: IO[bytes]) -> InputContainer:
    """Open a file by FFmpeg. Other files that it refers to are not read.

    Args:
        path: The file; FFmpeg uses its suffix as a hint for the format.
        stream: The same file, open for reading bytes.

    Returns:
        The container, which the caller closes.

    Raises:
        AudioError: FFmpeg does not support the format, or it is not an audio format.
    """
    error: FFmpegError | None = None
    # FFmpeg 8 does not detect Monkey's Audio and some other formats after an ID3v2 tag, so the tag is skipped.
    for offset in (0, _id3v2_bytes(stream)):
        if offset or error is None:
            try:
                reader = _Reader(stream, path.suffix, offset)
                return av.open(reader, "r", options=dict(_DEMUXERS), metadata_errors="surrogateescape")
            except FFmpegError as failure:
                error = failure
    assert error is not None
    raise AudioError(f"no audio that can be decoded (FFmpeg: {error.strerror})") from error


def _id3v2_bytes(stream: IO[bytes]) -> int:
    """Return the length of the ID3v2 tag at the beginning of a file, bytes; 0 without one."""
    head = stream.read(10)
    stream.seek(0)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


class _Reader:
    """File object for FFmpeg that begins at an offset of a file.

    Its name has only the suffix, as a hint for FFmpeg: the rest of a file name could be any bytes.
    """

    def __init__(self, stream: IO[bytes], suffix: str, offset: int) -> None:
        self.name = "audio" + (suffix if suffix.isascii() else "")
        self._stream, self._offset = stream, offset
        self.seek(0)

    def read(self, n_bytes: int) -> bytes:
        return self._stream.read(n_bytes)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset + self._offset * (whence == os.SEEK_SET), whence) - self._offset

    def tell(self) -> int:
        return self._stream.tell() - self._offset


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    """Convert a frame to float32 of full scale 1, shape (t, channels)."""
    channels = len(frame.layout.channels)
    if frame.format.is_planar and channels >= _MANY_CHANNELS:
        (frame,) = AudioResampler(format=frame.format.packed).resample(frame)
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype.kind == "f":
        return values.astype(np.float32, order="C")  # A copy: `to_int16` overwrites its input.
    scale = np.float32(2.0 ** (8 * values.dtype.itemsize - 1))
    if values.dtype.kind == "u":
        return (values.astype(np.float32) - scale) / scale
    return values.astype(np.float32) / scale
