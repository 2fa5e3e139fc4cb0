"""Read how many bytes of samples a WAV or AIFF file declares; libsndfile says nothing where fewer are there.

Reference: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991; Apple, "Audio
Interchange File Format", 1989; EBU Tech 3306 (RF64).
"""

from pathlib import Path
from typing import Final

_UNKNOWN_FROM: Final = 0x7FFF0000
"""Programs that do not know yet how long they will go on write 0, or a size about the largest of 31 or 32 bits."""


def missing_share(path: Path) -> float:
    """Return the part of the declared samples that the file lacks, 0 to 1; 0 for a file of another format.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:] == b"WAVE":
            order, wanted = ("big" if head[:4] == b"RIFX" else "little"), b"data"
        elif head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            order, wanted = "big", b"SSND"
        else:
            return 0.0
        position, long_size = 12, 0
        while len(head := file.read(8)) == 8:
            name, n_bytes = head[:4], int.from_bytes(head[4:], order)  # type: ignore[arg-type]
            if name == b"ds64":
                long_size = int.from_bytes(file.read(16)[8:], "little")
            if name == wanted:
                declared = long_size if n_bytes == 0xFFFFFFFF and long_size else n_bytes
                there = size - position - 8
                is_known = 0 < declared < _UNKNOWN_FROM or declared == long_size > 0
                return max(0.0, 1 - there / declared) if is_known else 0.0
            position += 8 + n_bytes + n_bytes % 2
            file.seek(position)
    return 0.0
