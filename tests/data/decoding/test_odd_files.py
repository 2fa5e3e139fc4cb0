"""Files that encoders, tag editors and recorders leave behind are decoded from beginning to end, without a loss."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.data.decoding.excerpts import excerpt, measure_track
from lit_genre.data.decoding.status import COMPLETE
from lit_genre.data.decoding.track_audio import decode_track
from tests.helpers.media import (
    MP3,
    PLAIN_MP3,
    RATE,
    Format,
    as_mono,
    correlation,
    id3v2,
    song,
    verbatim_flac,
    write,
)

SECONDS = 3.0
TOLERANCE_SECONDS = 0.05
OPUS = Format("ogg", "libopus", rate=48000, kbit=128)
VORBIS = Format("ogg", "vorbis", kbit=128)

Mono = NDArray[np.float32]
Odd = Callable[[Path], tuple[Path, Mono]]
"""From a folder to a file in it and what should be decoded."""


def encoded(folder: Path, kind: Format, n_channels: int = 2, seed: int = 0) -> tuple[bytes, Mono]:
    """Return an ordinary file, and what should be decoded."""
    samples = song(SECONDS, kind.rate, n_channels, seed)
    return write(folder / "part", samples, kind).read_bytes(), as_mono(samples, kind.rate)


def saved(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def mp3_after(junk: bytes) -> Odd:
    def make(folder: Path) -> tuple[Path, Mono]:
        content, mono = encoded(folder, PLAIN_MP3)
        return saved(folder, "song.mp3", junk + content), mono

    return make


def mp3_of_varying_bit_rate(folder: Path) -> tuple[Path, Mono]:
    # Quiet, then loud: an estimate from the bit rate of the first frame would be wrong.
    samples = song(SECONDS, 44100, 2)
    samples[: len(samples) // 2] *= 1e-3
    kind = PLAIN_MP3._replace(kbit=None, encoder={"flags": "+qscale", "global_quality": "118"})
    return write(folder / "song.mp3", samples, kind), as_mono(samples, 44100)


def mp3_that_declares(n_frames: Callable[[int], int] | None) -> Odd:
    """Make an MP3 whose encoder's header has a wrong number of frames, or none."""

    def make(folder: Path) -> tuple[Path, Mono]:
        content, mono = encoded(folder, MP3)
        changed = bytearray(content)
        header = max(content.find(b"Xing"), content.find(b"Info"))
        assert 0 < header < 64
        if n_frames is None:
            changed[header + 7] &= ~1  # The flag of the number; what follows stays four bytes too late.
            del changed[header + 8 : header + 12]
            changed[header + 40 : header + 40] = bytes(4)
        else:
            (written,) = struct.unpack_from(">I", content, header + 8)
            struct.pack_into(">I", changed, header + 8, n_frames(written))
        return saved(folder, "song.mp3", bytes(changed)), mono

    return make


def joined(name: str, *kinds: tuple[Format, int], between: bytes = b"") -> Odd:
    """Make a file of several files, of formats and numbers of channels."""

    def make(folder: Path) -> tuple[Path, Mono]:
        parts = [encoded(folder, kind, n_channels, seed) for seed, (kind, n_channels) in enumerate(kinds)]
        content = between.join(content for content, _ in parts)
        return saved(folder, name, content), np.concatenate([mono for _, mono in parts])

    return make


def ogg_of_two_streams(folder: Path) -> tuple[Path, Mono]:
    samples, path = song(SECONDS, 48000, 2), folder / "song.ogg"
    with av.open(str(path), "w", format="ogg") as container:
        streams: list[Any] = [container.add_stream(codec, rate=48000, layout="stereo") for codec in ("libopus", "flac")]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48000, 0
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
    return path, as_mono(samples, 48000)


def film(name: str, container_name: str) -> Odd:
    """Make a film with sound."""

    def make(folder: Path) -> tuple[Path, Mono]:
        samples, path = song(SECONDS, 44100, 2), folder / name
        with av.open(str(path), "w", format=container_name) as container:
            video: Any = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
            audio: Any = container.add_stream("aac", rate=44100, layout="stereo", bit_rate=128_000)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
            frame.sample_rate, frame.pts = 44100, 0
            packets = [*audio.encode(frame), *audio.encode(None)]
            for number in range(int(SECONDS * 10)):
                picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number, dtype=np.uint8), "rgb24")
                picture.pts = number
                packets += video.encode(picture)
            for packet in (*packets, *video.encode(None)):
                container.mux(packet)
        return path, as_mono(samples, 44100)

    return make


def flac_of(bits: int, tag: bytes = b"") -> Odd:
    def make(folder: Path) -> tuple[Path, Mono]:
        samples = song(SECONDS, 16000, 1)
        return saved(folder, "song.flac", tag + verbatim_flac(samples, 16000, bits)), as_mono(samples, 16000)

    return make


def flac_without_length(folder: Path) -> tuple[Path, Mono]:
    """Make a FLAC that was written to a pipe."""
    content, mono = encoded(folder, Format("flac", "flac"))
    (info,) = struct.unpack_from(">Q", content, 18)
    return saved(folder, "song.flac", content[:18] + struct.pack(">Q", info >> 36 << 36) + content[26:]), mono


def wav_that_declares(n_bytes: int, riff_bytes: int) -> Odd:
    """Make the WAV of a recorder that crashed, or that wrote to a pipe."""

    def make(folder: Path) -> tuple[Path, Mono]:
        content, mono = encoded(folder, Format("wav", "pcm_s16le"))
        changed, data = bytearray(content), content.index(b"data")
        struct.pack_into("<I", changed, 4, riff_bytes)
        struct.pack_into("<I", changed, data + 4, n_bytes)
        return saved(folder, "song.wav", bytes(changed)), mono

    return make


def caf_of_unknown_length(folder: Path) -> tuple[Path, Mono]:
    """Make the CAF of a recorder that writes to a pipe: the size of the samples is -1."""
    content, mono = encoded(folder, Format("caf", "pcm_s16be"))
    changed, data = bytearray(content), content.index(b"data")
    struct.pack_into(">q", changed, data + 4, -1)
    return saved(folder, "song.caf", bytes(changed)), mono


def wav_of(format_tag: int, kind: Format) -> Odd:
    """Make a WAV with a compressed stream in it."""

    def make(folder: Path) -> tuple[Path, Mono]:
        stream, mono = encoded(folder, kind)
        form = struct.pack("<HHIIHHH", format_tag, 2, kind.rate, len(stream) // int(SECONDS), 1, 0, 0)
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(stream)) + stream
        return saved(folder, "song.wav", b"RIFF" + struct.pack("<I", len(chunks)) + chunks), mono

    return make


def wav_with_chunks(folder: Path) -> tuple[Path, Mono]:
    """Make a WAV with chunks before and after the samples, of odd lengths."""
    content, mono = encoded(folder, Format("wav", "pcm_s16le"))
    data, note = content.index(b"data"), b"note" + struct.pack("<I", 33) + bytes(34)
    return saved(folder, "song.wav", content[:data] + note + content[data:] + note), mono


def big_endian_wav(folder: Path) -> tuple[Path, Mono]:
    samples = song(SECONDS, 44100, 2)
    path = folder / "song.wav"
    soundfile.write(path, samples, 44100, format="WAV", endian="BIG")
    assert path.read_bytes()[:4] == b"RIFX"
    return path, as_mono(samples, 44100)


def tagged(name: str, kind: Format) -> Odd:
    """Make a file with a tag at the beginning that its format does not have."""

    def make(folder: Path) -> tuple[Path, Mono]:
        content, mono = encoded(folder, kind)
        return saved(folder, name, id3v2(60_000) + content), mono

    return make


CHANGING = {
    "Vorbis of two rates": joined("song.ogg", (VORBIS, 2), (VORBIS._replace(rate=22050, kbit=64), 2)),
    "Opus that becomes mono": joined("song.opus", (OPUS, 2), (OPUS, 1)),
}
"""Chains of which FFmpeg 8 decodes the first part only; older releases decode all."""

ID3V1 = b"TAG" + b"A title".ljust(125, b"\0")
ODD: dict[str, Odd] = {
    "MP3 after a tag with a cover": mp3_after(id3v2(60_000)),
    "MP3 after a tag and one byte": mp3_after(id3v2(300) + b"\0"),
    "MP3 after a zero byte": mp3_after(b"\0"),
    "MP3 after a byte of a frame": mp3_after(b"\xff"),
    "MP3 after two tags": mp3_after(id3v2(300) + id3v2(20)),
    "MP3 of a varying bit rate": mp3_of_varying_bit_rate,
    "MP3 that declares 0 frames": mp3_that_declares(lambda written: 0),
    "MP3 that declares half of its frames": mp3_that_declares(lambda written: written // 2),
    "MP3 that declares no number of frames": mp3_that_declares(None),
    "joined MP3s": joined("song.mp3", (MP3, 2), (MP3, 2)),
    "joined MP3s with tags": joined("song.mp3", (MP3, 2), (MP3, 2), between=ID3V1 + id3v2(5_000)),
    "joined MP3s without headers": joined("song.mp3", (PLAIN_MP3, 2), (PLAIN_MP3, 2)),
    "MP3 that changes its rate": joined("song.mp3", (PLAIN_MP3, 2), (PLAIN_MP3._replace(rate=48000), 2)),
    "MP3 that changes its version": joined("song.mp3", (MP3, 2), (MP3._replace(rate=22050, kbit=64), 1)),
    "MP3 that becomes mono": joined("song.mp3", (PLAIN_MP3, 2), (PLAIN_MP3, 1)),
    "chained Vorbis": joined("song.ogg", (VORBIS, 2), (VORBIS, 2)),
    "chained Opus": joined("song.opus", (OPUS, 2), (OPUS, 2)),
    "chained Ogg FLAC": joined("song.oga", (Format("ogg", "flac"), 2), (Format("ogg", "flac"), 2)),
    "Ogg of two streams": ogg_of_two_streams,
    "film in MP4": film("song.mp4", "mp4"),
    "film in Matroska": film("song.mkv", "matroska"),
    "FLAC of 8 bits": flac_of(8),
    "FLAC of 12 bits": flac_of(12),
    "FLAC of 20 bits": flac_of(20),
    "FLAC after a tag": flac_of(16, id3v2(60_000)),
    "FLAC without its length": flac_without_length,
    "WAV of 0 bytes": wav_that_declares(0, 0),
    "WAV of 0 bytes, with the size of its header": wav_that_declares(0, 36),
    "WAV of unknown length": wav_that_declares(0xFFFFFFFF, 0xFFFFFFFF),
    "WAV of the largest length": wav_that_declares(0x7FFFFFFF, 0x7FFFFFFF),
    "CAF of unknown length": caf_of_unknown_length,
    "WAV with chunks of odd lengths": wav_with_chunks,
    "WAV of big-endian samples": big_endian_wav,
    "AAC in WAV": wav_of(0x1600, Format("adts", "aac", kbit=128)),
    "AAC in WAV with the other number": wav_of(0xFF, Format("adts", "aac", kbit=128)),
    "AC-3 in WAV": wav_of(0x2000, Format("ac3", "ac3", kbit=192)),
    "AAC after a tag": tagged("song.aac", Format("adts", "aac", kbit=128)),
    "WavPack after a tag": tagged("song.wv", Format("wv", "wavpack")),
    "TTA after a tag": tagged("song.tta", Format("tta", "tta")),
    "AC-3 after a tag": tagged("song.ac3", Format("ac3", "ac3", kbit=192)),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_decoded_from_beginning_to_end(kind: str, tmp_path: Path) -> None:
    path, mono = ODD[kind](tmp_path)
    n_parts = round(len(mono) / RATE / SECONDS)
    with decode_track(path, RATE) as audio:
        pcm = np.empty(audio.n_samples, dtype=np.int16)
        audio.read(0, pcm)
        assert audio.status == COMPLETE
    # Each part of a joined file has its own padding.
    assert len(pcm) / RATE == pytest.approx(len(mono) / RATE, abs=TOLERANCE_SECONDS * n_parts)
    third = len(mono) // 3
    assert correlation(pcm[:third], mono[:third]) >= 0.99
    assert correlation(pcm[len(pcm) - third :], mono[len(mono) - third :], 0.1) >= 0.99
    n_samples, status = measure_track(path, RATE)
    assert status == COMPLETE
    assert n_samples == pytest.approx(len(pcm), abs=TOLERANCE_SECONDS * RATE * n_parts)
    start = len(pcm) * 3 // 4
    part = excerpt(path, RATE, start, RATE // 2)
    assert len(part) == RATE // 2
    assert correlation(part, pcm[start : start + len(part)], 0.001) >= 0.99


@pytest.mark.parametrize("kind", CHANGING)
def test_of_a_chain_that_changes_what_is_missing_is_reported(kind: str, tmp_path: Path) -> None:
    path, mono = CHANGING[kind](tmp_path)
    with decode_track(path, RATE) as audio:
        assert audio.status.kind == "truncated"
        assert audio.n_samples / RATE + audio.status.seconds_lost == pytest.approx(len(mono) / RATE, abs=0.1)
