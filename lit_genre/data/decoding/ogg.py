"""Read the pages of an Ogg file without decoding them, to know how long it is and whether it is damaged.

libsndfile reads the first of several chained streams only.

Reference: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), the mappings of Vorbis, FLAC and Speex.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct("<4sBBqIIIB")
_FIRST: Final = 2
_OPUS_RATE: Final = 48000
_UNKNOWN: Final = -1


@dataclass
class _Stream:
    sample_rate: int
    skipped: int
    last: int = 0


@dataclass
class OggPages:
    """What the pages of an Ogg file declare.

    Attributes:
        seconds: Length of all chained streams of sound, one after the other.
        is_contiguous: Whether there is one stream of sound, whose pages follow each other to the end of the file.
    """

    seconds: float
    is_contiguous: bool


@dataclass
class _Reader:
    streams: dict[int, _Stream] = field(default_factory=dict)
    ended: list[float] = field(default_factory=list)
    n_streams: int = 0
    n_gaps: int = 0
    follows_first: bool = False

    def add(self, serial: int, flags: int, granule: int, body: bytes) -> None:
        if flags & _FIRST:
            if self.follows_first:  # A new link of the chain.
                self.close()
            self.follows_first = False
            self.n_streams += 1
            if stream := _open(body):
                self.streams[serial] = stream
            return
        self.follows_first = True
        if granule != _UNKNOWN and (known := self.streams.get(serial)):
            known.last = max(known.last, granule)

    def close(self) -> None:
        lengths = [max(0, stream.last - stream.skipped) / stream.sample_rate for stream in self.streams.values()]
        # Of streams at the same time, one is decoded.
        if lengths:
            self.ended.append(lengths[0])
        self.streams.clear()


def scan_ogg(path: Path) -> OggPages | None:
    """Read the headers of all pages.

    Args:
        path: The file.

    Returns:
        What the pages declare; None if there is no stream of a known audio codec.

    Raises:
        OSError: The file cannot be read.
    """
    reader = _Reader()
    with path.open("rb") as file:
        size = path.stat().st_size
        while (position := file.tell()) < size:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or header[:4] != b"OggS":
                if not _resync(file, position + 1):
                    break
                reader.n_gaps += 1
                continue
            _, _, flags, granule, serial, _, _, n_segments = _HEADER.unpack(header)
            body_bytes = sum(file.read(n_segments))
            if file.tell() + body_bytes > size:
                # Cut inside a page, whose sound is lost.
                reader.n_gaps += 1
                reader.add(serial, flags & ~_FIRST, granule, b"")
                break
            reader.add(serial, flags, granule, file.read(80) if flags & _FIRST else b"")
            file.seek(position + _HEADER.size + n_segments + body_bytes)
    reader.close()
    if not reader.ended:
        return None
    return OggPages(sum(reader.ended), reader.n_streams == 1 and not reader.n_gaps)


def _resync(file: BinaryIO, position: int) -> bool:
    """Move to the next page; return whether there is one."""
    file.seek(position)
    while block := file.read(1 << 16):
        if (found := block.find(b"OggS")) >= 0:
            file.seek(position + found)
            return True
        if len(block) < 1 << 16:
            break
        position += len(block) - 3
        file.seek(position)
    return False


def _open(body: bytes) -> _Stream | None:
    """Read the sample rate from the first packet of a stream of sound; None for another stream."""
    if body.startswith(b"\x01vorbis"):
        stream = _Stream(int.from_bytes(body[12:16], "little"), 0)
    elif body.startswith(b"OpusHead"):
        stream = _Stream(_OPUS_RATE, int.from_bytes(body[10:12], "little"))
    elif body.startswith(b"Speex   "):
        stream = _Stream(int.from_bytes(body[36:40], "little"), 0)
    elif body.startswith(b"\x7fFLAC"):
        stream = _Stream(int.from_bytes(body[27:30]) >> 4, 0)
    else:
        return None
    return stream if stream.sample_rate else None
