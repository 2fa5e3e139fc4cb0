"""Write short audio files with tags, by PyAV and, where PyAV writes no such tags, byte by byte."""

import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48000


class Format(NamedTuple):
    """How PyAV writes a kind of file."""

    container: str
    codec: str
    options: Mapping[str, str] = MappingProxyType({})


FORMATS = {
    "mp3": Format("mp3", "libmp3lame"),
    "m4a": Format("ipod", "aac"),
    "alac.m4a": Format("ipod", "alac"),
    "mp4": Format("mp4", "aac"),
    "mov": Format("mov", "aac"),
    "flac": Format("flac", "flac"),
    "ogg": Format("ogg", "vorbis"),
    "opus": Format("opus", "libopus"),
    "mka": Format("matroska", "libopus"),
    "webm": Format("webm", "libopus"),
    "wma": Format("asf", "wmav2"),
    "aiff": Format("aiff", "pcm_s16be", {"write_id3v2": "1"}),
    "wav": Format("wav", "pcm_s16le"),
    "wv": Format("wv", "wavpack"),
    "tta": Format("tta", "tta"),
    "caf": Format("caf", "pcm_s16be"),
    "avi": Format("avi", "libmp3lame"),
    "aac": Format("adts", "aac", {"write_id3v2": "1"}),
    "au": Format("au", "pcm_s16be"),
    "flv": Format("flv", "aac"),
}
"""Formats that PyAV writes with the name of an artist, by the end of the name of a file."""


def write_tagged(path: Path, samples: NDArray[np.float32], **tags: str) -> None:
    """Write samples, shape (t,), 48,000 Hz, and tags in the format that the name of the file says."""
    container_name, codec, options = FORMATS[path.name.partition(".")[2]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container_name, options=dict(options)) as container:
        container.metadata.update(tags)
        stream: Any = container.add_stream(
            codec, rate=RATE, layout="stereo", bit_rate=128_000, options={"strict": "-2"}
        )
        pcm = np.repeat((samples * 32767).astype(np.int16)[None], 2, axis=0).T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "stereo")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def id3v2(frames: list[tuple[str, bytes]], version: int = 4, unsynchronised: bool = False) -> bytes:
    """Make an ID3v2 tag of frames, each with the byte of its encoding before its text."""
    body = b""
    for name, content in frames:
        size, flags = struct.pack(">I", len(content)), b"\0\0"
        if version == 2:
            size, flags = size[1:], b""
        elif version == 4:
            size = _synchsafe(len(content))
        body += name.encode() + size + flags + content
    if unsynchronised:
        body = body.replace(b"\xff\xfe", b"\xff\0\xfe")
    return b"ID3" + bytes([version, 0, 0x80 * unsynchronised]) + _synchsafe(len(body)) + body


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v1(artist: bytes) -> bytes:
    """Make an ID3v1 tag."""
    return b"TAG" + b"Title".ljust(30, b"\0") + artist[:30].ljust(30, b"\0") + bytes(64) + b"\xff"


def ape(**tags: str) -> bytes:
    """Make an APEv2 tag; a NUL separates values."""
    items = b"".join(
        struct.pack("<II", len(value := text.encode()), 0) + name.encode() + b"\0" + value
        for name, text in tags.items()
    )
    return items + b"APETAGEX" + struct.pack("<IIII", 2000, len(items) + 32, len(tags), 0) + bytes(8)


def dsf(tag: bytes) -> bytes:
    """Make a DSF file of silence with an ID3v2 tag."""
    sound = b"\x69" * 8192
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 2, 2, 2822400, 1, 32768, 4096, 0)
    data = struct.pack("<4sQ", b"data", 12 + len(sound)) + sound
    end = 28 + len(form) + len(data)
    return struct.pack("<4sQQQ", b"DSD ", 28, end + len(tag), end) + form + data + tag


def dff(tag: bytes) -> bytes:
    """Make the outline of a DSDIFF file with an ID3v2 tag."""
    chunks = b"".join(
        name + struct.pack(">Q", len(content)) + content for name, content in ((b"FVER", bytes(4)), (b"ID3 ", tag))
    )
    return b"FRM8" + struct.pack(">Q", 4 + len(chunks)) + b"DSD " + chunks


def mp4(artists: list[str]) -> bytes:
    """Make the outline of an MP4 file with several artists."""

    def atom(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + name + content

    values = b"".join(atom(b"data", struct.pack(">II", 1, 0) + artist.encode()) for artist in artists)
    tags = atom(b"udta", atom(b"meta", bytes(4) + atom(b"ilst", atom(b"\xa9ART", values))))
    return atom(b"ftyp", b"M4A " + bytes(4)) + atom(b"moov", tags)


def flac(comments: list[tuple[str, str]]) -> bytes:
    """Make the outline of a FLAC file with Vorbis comments."""
    texts = [f"{name}={text}".encode() for name, text in comments]
    body = bytes(4) + struct.pack("<I", len(texts)) + b"".join(struct.pack("<I", len(text)) + text for text in texts)
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + bytes.fromhex("0ac442f000000000") + bytes(16)
    return b"fLaC" + bytes([0, 0, 0, 34]) + info + bytes([0x84]) + struct.pack(">I", len(body))[1:] + body


def wav(artist: bytes) -> bytes:
    """Make a WAV file of silence with the name of an artist in its INFO chunk."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    info = chunk(b"LIST", b"INFO" + chunk(b"IART", artist + b"\0"))
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
    return chunk(b"RIFF", b"WAVE" + form + info + chunk(b"data", bytes(1600)))
