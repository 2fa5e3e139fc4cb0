"""Compare the number of bytes that WAV, AIFF and similar files declare with their size; libsndfile does not report it.

Reference: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991 (WAV); EBU Tech 3306
(RF64); Apple, "Audio Interchange File Format", 1989, and "Core Audio Format Specification", 2006; Sonic Foundry's W64;
Sun's AU, as in the manual page audio(5).
"""

from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple

_UNKNOWN_FROM: Final = 0x7FFF0000
"""Programs that write to a pipe, or crash, leave a size of 0 or one near the largest integer of 31 or 32 bits."""

_UNKNOWN_FROM_64: Final = 2**63
"""CAF writes -1 for a recording of unknown length; no size of 64 bits is negative otherwise."""


class _Chunks(NamedTuple):
    """How the chunks of a format are stored.

    Attributes:
        first: Position of the first chunk, bytes.
        samples: First four bytes of the name of the chunk that contains the samples.
        name_bytes: Length of the field of the name, bytes.
        size_bytes: Length of the field of the size, bytes.
        order: Byte order of the size.
        alignment: Chunks begin at multiples of this number of bytes.
        header_counts: Whether the size includes the fields of name and size.
    """

    first: int
    samples: bytes
    name_bytes: int = 4
    size_bytes: int = 4
    order: Literal["little", "big"] = "big"
    alignment: int = 2
    header_counts: bool = False


def missing_share(path: Path) -> float:
    """Compute the fraction of the declared samples that the file lacks.

    Args:
        path: The file.

    Returns:
        Fraction, 0 to 1; 0 for another format, or if the file does not declare its length.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        # AU has no chunks: its header has the position and the size of the samples.
        if head[:4] == b".snd":
            start, declared = int.from_bytes(head[4:8]), int.from_bytes(head[8:12])
            declared = declared if declared < _UNKNOWN_FROM else 0
        elif chunks := _chunks(head):
            start, declared = _find_samples(file, chunks)
        else:
            return 0.0
    return max(0.0, 1 - (size - start) / declared) if declared > 0 else 0.0


def _chunks(head: bytes) -> _Chunks | None:
    """Return the layout of the chunks for the first 16 bytes of a file; None for another format."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _Chunks(12, b"data", order="little")
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return _Chunks(12, b"data")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _Chunks(12, b"SSND")
    if head[:4] == b"caff":
        return _Chunks(8, b"data", size_bytes=8, alignment=1)
    # W64 has GUIDs of 16 bytes as names. Those of "riff" and "data" begin with these letters.
    if head[:8] == b"riff\x2e\x91\xcf\x11":
        return _Chunks(40, b"data", 16, 8, "little", 8, header_counts=True)
    return None


def _find_samples(file: BinaryIO, chunks: _Chunks) -> tuple[int, int]:
    """Return the position of the samples and their declared size, bytes; the size is 0 if unknown."""
    position, long_size = chunks.first, 0
    header_bytes = chunks.name_bytes + chunks.size_bytes
    file.seek(position)
    while len(head := file.read(header_bytes)) == header_bytes:
        n_bytes = int.from_bytes(head[chunks.name_bytes :], chunks.order) - header_bytes * chunks.header_counts
        start = position + header_bytes
        # RF64 stores the size of the samples here, in 64 bits, and 0xFFFFFFFF at the samples.
        if head[:4] == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if head[:4] == chunks.samples:
            if n_bytes == 0xFFFFFFFF and long_size:
                return start, long_size
            is_known = n_bytes < (_UNKNOWN_FROM_64 if chunks.size_bytes == 8 else _UNKNOWN_FROM)
            return start, n_bytes if is_known else 0
        # Never move backwards: a damaged size in W64 may be smaller than the header that it includes.
        position = start + max(0, n_bytes)
        position += -position % chunks.alignment
        file.seek(position)
    return 0, 0
