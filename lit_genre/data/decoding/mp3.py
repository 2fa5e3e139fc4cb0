"""Count the frames of an MP3 without decoding them, to measure its length and to detect damage.

libsndfile stops where an MP3 is damaged, and after the first of several joined files. It estimates the length of a file
without an encoder's header from the bit rate of the first frame.

Reference: ISO/IEC 11172-3 and 13818-3, frame header. The "Xing" header and LAME's extension of it, which declare the
number of frames and of samples to trim, are conventions of encoders.
"""

import mmap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

# kbit/s by bit rate index 1 to 14, for (is MPEG-1, layer).
_BIT_RATES: Final = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES: Final = (44100, 48000, 32000)
_RATE_DIVISORS: Final = {3: 1, 2: 2, 0: 4}
"""Divisor of the sample rate by the version in the frame header: MPEG-1, MPEG-2 and MPEG-2.5."""


class _Frame(NamedTuple):
    """Properties of a frame that its header determines; `n_bytes` includes the header."""

    n_bytes: int
    n_samples: int
    sample_rate: int
    layer: int


@dataclass(frozen=True)
class MP3Frames:
    """Length and damage of an MP3, from its frames.

    Attributes:
        seconds: Length of the frames in the file, s, without the samples that decoders trim.
        declared_seconds: Length that the encoder's header declares, s. Without such a header, the estimated length
            including bytes at the end that are neither frame nor tag; 0 if there are none.
        lost_seconds: Estimated length of overwritten frames, s: of the bytes between frames that are not tags.
        is_contiguous: Whether the frames follow each other from the beginning at one sample rate, and are at most as
            many as declared.
    """

    seconds: float
    declared_seconds: float
    lost_seconds: float
    is_contiguous: bool


def scan_mp3(path: Path) -> MP3Frames | None:
    """Find all frames of a file.

    Args:
        path: The file, of which only the headers of the frames are read if it is undamaged.

    Returns:
        Length and damage; None if the file has fewer than two frames.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is empty, which `mmap` refuses.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _scan(data, len(data))


def _scan(data: mmap.mmap, end: int) -> MP3Frames | None:
    position = _end_of_tags(data, 0, end)
    counts: Counter[_Frame] = Counter()
    first: tuple[int, _Frame] | None = None
    last: _Frame | None = None
    junk_bytes = trailing_bytes = 0
    interrupted = is_contiguous = False
    while position + 4 <= end:
        frame = _FRAMES.get(data[position : position + 3])
        # Any three bytes may look like a header, so a frame counts only if one of its kind comes before or after it.
        # The cheapest check is first: most frames are the same object of the table as the one before.
        if frame is not None and (frame is last or _is_alike(frame, last) or _is_followed(data, position, frame, end)):
            if first is None:
                first, is_contiguous = (position, frame), not interrupted
            elif interrupted or frame.sample_rate != first[1].sample_rate:
                is_contiguous = False
            counts[frame] += 1
            last, position = frame, position + frame.n_bytes
            continue
        interrupted = True
        if (after := _end_of_tags(data, position, end)) > position:
            position = after
            continue
        after = _resync(data, position + 1, end)
        if after == end:
            trailing_bytes = end - position
        # Bytes before the first frame may be anything and are no loss, except zeros: an incomplete download.
        elif first is not None or not any(data[position : position + 64]):
            junk_bytes += after - position
        position = after
    if first is None or counts.total() < 2:
        return None
    declared_frames, trimmed = _encoder_header(data, *first)
    frame, n_frames = first[1], counts.total()
    frame_seconds = frame.n_samples / frame.sample_rate
    seconds = sum(kind.n_samples / kind.sample_rate * count for kind, count in counts.items())
    byte_seconds = seconds / sum(kind.n_bytes * count for kind, count in counts.items())
    lost, lost_at_end = junk_bytes * byte_seconds, trailing_bytes * byte_seconds
    if declared_frames is not None:  # The frame with the header contains no audio.
        n_frames, seconds = n_frames - 1, seconds - frame_seconds
    trimmed_seconds = trimmed / frame.sample_rate
    seconds = max(0.0, seconds - trimmed_seconds)
    declared_seconds = max(0.0, declared_frames * frame_seconds - trimmed_seconds) if declared_frames else 0.0
    if declared_frames and n_frames <= declared_frames:
        # If no frame is missing, the bytes between the frames were not frames.
        lost = min(lost, (declared_frames - n_frames) * frame_seconds)
    elif lost_at_end:
        declared_seconds = seconds + lost + lost_at_end
    is_contiguous = is_contiguous and (declared_frames is None or n_frames <= declared_frames)
    return MP3Frames(seconds, declared_seconds, lost, is_contiguous)


def _frame_table() -> dict[bytes, _Frame]:
    """Build a table of the frames by the first three bytes of their headers.

    One look-up for each frame is faster in Python than decoding the bits of its header.
    """
    table = {}
    for version, divisor in _RATE_DIVISORS.items():
        for layer in (1, 2, 3):
            rates = _BIT_RATES[version == 3, layer]
            n_samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
            for index, bit_rate in enumerate(rates, start=1):
                for rate_index, base_rate in enumerate(_SAMPLE_RATES):
                    sample_rate = base_rate // divisor
                    for low_bits in range(4):  # The padding bit and the private bit.
                        padding = low_bits >> 1
                        slots = n_samples // (32 if layer == 1 else 8) * bit_rate * 1000 // sample_rate + padding
                        frame = _Frame(slots * 4 if layer == 1 else slots, n_samples, sample_rate, layer)
                        second = 0xE0 | version << 3 | (4 - layer) << 1
                        for protection in (0, 1):
                            key = bytes((0xFF, second | protection, index << 4 | rate_index << 2 | low_bits))
                            table[key] = frame
    return table


_FRAMES: Final = _frame_table()


# Bit rate and padding may change from frame to frame, the sample rate and the layer may not.
def _is_alike(frame: _Frame, other: _Frame | None) -> bool:
    return other is not None and (frame.sample_rate, frame.layer) == (other.sample_rate, other.layer)


def _is_followed(data: mmap.mmap, position: int, frame: _Frame, end: int) -> bool:
    """Check whether another frame of its kind, or the end, follows a frame."""
    after = position + frame.n_bytes
    return after == end or _is_alike(frame, _FRAMES.get(data[after : after + 3]))


def _resync(data: mmap.mmap, position: int, end: int) -> int:
    """Return the position of the next frame that another frame of its kind, or the end, follows; else the end."""
    while 0 <= (position := data.find(b"\xff", position, end)) <= end - 4:
        if (frame := _FRAMES.get(data[position : position + 3])) and _is_followed(data, position, frame, end):
            return position
        position += 1
    return end


def _end_of_tags(data: mmap.mmap, position: int, end: int) -> int:
    """Return the position after the tags that begin here: ID3v2, ID3v1, APE and Lyrics3."""
    while position < end:
        head = data[position : position + 32]
        if head[:3] == b"ID3" and len(head) >= 10 and not any(byte & 0x80 for byte in head[6:10]):
            size = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            size += 10 * bool(head[5] & 0x10)
        elif head[:3] == b"TAG":
            size = 227 if head[:4] == b"TAG+" else 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            is_header = bool(head[23] & 0x20)
            size = 32 + int.from_bytes(head[12:16], "little") * is_header
        elif head[:11] == b"LYRICSBEGIN":
            closing = data.find(b"LYRICS200", position, end)
            size = (closing if closing >= 0 else end) + 9 - position
        else:
            break
        # Never beyond the end: in a truncated or damaged file the size of a tag may be too large.
        position = min(end, position + size)
    return position


def _encoder_header(data: mmap.mmap, position: int, frame: _Frame) -> tuple[int | None, int]:
    """Read the number of frames that the encoder's header in the first frame declares, and the samples to trim.

    Returns:
        Number of frames: 0 if the header has no number, None if there is no header. Number of samples to trim.
    """
    content = data[position : position + frame.n_bytes]
    # Fraunhofer's encoder writes "VBRI", 36 bytes after the beginning of the frame, instead of "Xing".
    if 0 <= (begin := content.find(b"VBRI")) <= 40:
        return int.from_bytes(content[begin + 14 : begin + 18]), 0
    begin = max(content.find(b"Xing", 0, 64), content.find(b"Info", 0, 64))
    if begin < 0:
        return None, 0
    flags = int.from_bytes(content[begin + 4 : begin + 8])
    declared = int.from_bytes(content[begin + 8 : begin + 12]) if flags & 1 else 0
    extension = begin + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    # 12 bits each: the samples that the encoder put before the sound, and after it.
    delays = int.from_bytes(content[extension + 21 : extension + 24])
    is_lame = content[extension : extension + 4] in (b"LAME", b"Lavc", b"Lavf", b"L3.9")
    trimmed = (delays >> 12) + (delays & 0xFFF) if is_lame else 0
    return declared, trimmed
