"""Read the pages of an Ogg file without decoding them, to measure its length and to detect damage.

libsndfile reads only the first of several chained streams.

Reference: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), the mappings of Vorbis, FLAC and Speex.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct("<4sBBqIIIB")
# Flag of the page that begins a stream.
_FIRST: Final = 2
# Opus counts samples at this rate, Hz, whatever the rate of the original audio was (RFC 7845).
_OPUS_RATE: Final = 48000
# Granule position of a page on which no packet ends.
_UNKNOWN: Final = -1


@dataclass
class _Stream:
    """Sample rate of a stream, Hz, the number of samples to skip at its beginning, and the last granule position."""

    sample_rate: int
    skipped: int
    last: int = 0


@dataclass
class OggPages:
    """Length and damage of an Ogg file, from its pages.

    Attributes:
        seconds: Length of all chained audio streams together, s.
        is_contiguous: Whether the file has one stream only, and its pages follow each other to the end of the file.
    """

    seconds: float
    is_contiguous: bool


@dataclass
class _Reader:
    """Collects the lengths of the streams while the pages are read in order."""

    streams: dict[int, _Stream] = field(default_factory=dict)
    ended: list[float] = field(default_factory=list)
    n_streams: int = 0
    n_gaps: int = 0
    follows_first: bool = False

    def add(self, serial: int, flags: int, granule: int, body: bytes) -> None:
        if flags & _FIRST:
            if self.follows_first:  # The previous streams of the chain have ended.
                self.close()
            self.follows_first = False
            self.n_streams += 1
            if stream := _open(body):
                self.streams[serial] = stream
            return
        self.follows_first = True
        if granule != _UNKNOWN and (known := self.streams.get(serial)):
            # In a damaged file a later page may have a smaller position.
            known.last = max(known.last, granule)

    def close(self) -> None:
        lengths = [max(0, stream.last - stream.skipped) / stream.sample_rate for stream in self.streams.values()]
        # Only one of several simultaneous streams is decoded.
        if lengths:
            self.ended.append(lengths[0])
        self.streams.clear()


def scan_ogg(path: Path) -> OggPages | None:
    """Read the headers of all pages.

    Args:
        path: The file.

    Returns:
        Length and damage; None if there is no stream of Vorbis, Opus, Speex or FLAC.

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
            # The header ends with a table of the lengths of the segments, one byte each.
            body_bytes = sum(file.read(n_segments))
            if file.tell() + body_bytes > size:
                # The file is truncated inside this page. Its position still counts, so that its audio is missing.
                reader.n_gaps += 1
                reader.add(serial, flags & ~_FIRST, granule, b"")
                break
            # Of the first packets, the longest that `_open` reads is that of Speex, with 80 bytes.
            reader.add(serial, flags, granule, file.read(80) if flags & _FIRST else b"")
            file.seek(position + _HEADER.size + n_segments + body_bytes)
    reader.close()
    if not reader.ended:
        return None
    return OggPages(sum(reader.ended), reader.n_streams == 1 and not reader.n_gaps)


def _resync(file: BinaryIO, position: int) -> bool:
    """Move the file to the next page; return whether there is one."""
    file.seek(position)
    while block := file.read(1 << 16):
        if (found := block.find(b"OggS")) >= 0:
            file.seek(position + found)
            return True
        if len(block) < 1 << 16:
            break
        # The four letters may lie across two blocks.
        position += len(block) - 3
        file.seek(position)
    return False


def _open(body: bytes) -> _Stream | None:
    """Read the sample rate from the first packet of an audio stream; return None for another stream."""
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
