"""Whole files of each kind, and what disks, downloads and strangers make of them."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from zipfile import ZIP_BZIP2, ZIP_STORED, ZipFile

import numpy as np
import soundfile

from lit_genre.data.store.builder import build_store

Random = np.random.Generator
Mutation = Callable[[bytes, bytes, Random], bytes]
"""From a whole file, another whole one and a source of chance to a damaged file."""

RATE: Final = 22050
FORMATS: Final = {
    "MP3": [("MPEG_LAYER_III", 44100, 2), ("MPEG_LAYER_III", 22050, 1), ("MPEG_LAYER_III", 16000, 2)],
    "FLAC": [("PCM_16", 44100, 2), ("PCM_24", 22050, 1), ("PCM_S8", 8000, 2)],
    "OGG": [("VORBIS", 44100, 2), ("VORBIS", 22050, 1), ("OPUS", 48000, 2)],
    "WAV": [("PCM_16", 44100, 2), ("FLOAT", 22050, 1), ("PCM_24", 48000, 2), ("ULAW", 8000, 1), ("MS_ADPCM", 22050, 2)],
}
"""Subtype, sample rate and number of channels of the files of each format."""

_HEAD: Final = 96
"""Bytes at both ends of a file in which its headers are."""
_EXTREMES: Final = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\0" * 4]


def truncated(content: bytes, other: bytes, random: Random) -> bytes:
    """End too soon."""
    return content[: _place(content, random)]


def flipped(content: bytes, other: bytes, random: Random) -> bytes:
    """Change single bits anywhere."""
    return _flip(content, random.integers(len(content), size=random.integers(1, 65)), random)


def flipped_header(content: bytes, other: bytes, random: Random) -> bytes:
    """Change single bits at the beginning and at the end."""
    return _flip(content, _in_headers(content, random, int(random.integers(1, 9))), random)


def spliced(content: bytes, other: bytes, random: Random) -> bytes:
    """Go on with another file."""
    return content[: _place(content, random)] + other[_place(other, random) :]


def oversized(content: bytes, other: bytes, random: Random) -> bytes:
    """Name a huge size, or none, in a header."""
    field = _EXTREMES[random.integers(len(_EXTREMES))]
    (place,) = _in_headers(content, random, 1)
    return content[:place] + field + content[place + len(field) :]


def overcounted(content: bytes, other: bytes, random: Random) -> bytes:
    """Write another number in a table."""
    numbers = list(re.finditer(rb"-?\d+", content))
    if not numbers:
        return content
    found = numbers[random.integers(len(numbers))]
    number = [b"0", b"-1", b"9" * 9, b"9" * 30, b"1.5", b"nan", str(random.integers(200)).encode()][random.integers(7)]
    return content[: found.start()] + number + content[found.end() :]


def zeroed(content: bytes, other: bytes, random: Random) -> bytes:
    """Lose a range to zeros."""
    begin, end = sorted((_place(content, random), _place(content, random)))
    return content[:begin] + bytes(end - begin) + content[end:]


def duplicated(content: bytes, other: bytes, random: Random) -> bytes:
    """Repeat a part."""
    begin, end = sorted((_place(content, random), _place(content, random)))
    return content[:end] + content[begin:end] * int(random.integers(1, 6)) + content[end:]


def dropped(content: bytes, other: bytes, random: Random) -> bytes:
    """Leave a part out."""
    begin, end = sorted((_place(content, random), _place(content, random)))
    return content[:begin] + content[end:]


def renamed(content: bytes, other: bytes, random: Random) -> bytes:
    """Change nothing; the file gets another suffix."""
    return content


_OF_ALL: Final = (truncated, flipped, flipped_header, spliced, zeroed, duplicated, dropped)
MUTATIONS: Final[dict[str, tuple[Mutation, ...]]] = {
    **dict.fromkeys(FORMATS, (*_OF_ALL, oversized, renamed)),
    **dict.fromkeys(("ZIP", "pcm-1.int16"), (*_OF_ALL, oversized)),
    **dict.fromkeys(("tracks.csv", "genres.csv", "index.csv"), (*_OF_ALL, overcounted)),
}
"""What is done to files of each kind."""


def _place(content: bytes, random: Random) -> int:
    return int(random.integers(len(content) + 1))


def _in_headers(content: bytes, random: Random, count: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return random.integers(-min(_HEAD, len(content)), min(_HEAD, len(content)), size=count) % len(content)


def _flip(content: bytes, places: "np.ndarray[tuple[int], np.dtype[np.int64]]", random: Random) -> bytes:
    changed = bytearray(content)
    for place in places:
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def write_whole_files(folder: Path, fma: Path) -> dict[str, list[Path]]:
    """Write whole files of each kind; `fma` is a data set of the demo's kind, from which tables and clips are taken."""
    folder.mkdir()
    whole = {name: _write_audio(folder, name) for name in FORMATS}
    whole["ZIP"] = [_write_zip(folder / name / "fma_small.zip", fma, method) for name, method in _METHODS.items()]
    build_store(folder / "store", clips_of(fma), RATE)
    for name in ("index.csv", "pcm-1.int16"):
        whole[name] = [folder / "store" / name]
    for name in ("tracks.csv", "genres.csv"):
        whole[name] = [fma / "fma_metadata" / name]
    return whole


_METHODS: Final = {"bzip2": ZIP_BZIP2, "stored": ZIP_STORED}


def clips_of(fma: Path) -> dict[int, Path]:
    """Find ten clips of a data set."""
    return {int(path.stem): path for path in sorted(fma.glob("fma_small/*/*.mp3"))[:10]}


def _write_audio(folder: Path, name: str) -> list[Path]:
    paths, random = [], np.random.default_rng(0)
    for number, (subtype, rate, channels) in enumerate(FORMATS[name]):
        time = np.arange(int((0.5 + 0.5 * number) * rate)) / rate
        waveform = 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] + 0.05 * random.standard_normal((len(time), channels))
        paths.append(folder / f"{number}.{name.lower()}")
        soundfile.write(paths[-1], waveform, rate, format=name, subtype=subtype)
    if name == "MP3":
        # As FMA's clips begin, with a tag; and without the frame in which an encoder says how long the file is.
        tag = b"ID3\x03\x00\x00\x00\x00\x00\x20" + b"TCON\0\0\0\x05\0\0\0Rock".ljust(32, b"\0")
        paths[1].write_bytes(tag + paths[1].read_bytes())
        content = paths[2].read_bytes()
        paths[2].write_bytes(content[content.index(b"\xff\xf3", 4) :])
    return paths


def _write_zip(path: Path, fma: Path, method: int) -> Path:
    path.parent.mkdir()
    clips = {f"{clip.parent.name}/{clip.name}": clip.read_bytes() for clip in clips_of(fma).values()}
    sums = "".join(f"{hashlib.sha1(content).hexdigest()}  {name}\n" for name, content in clips.items())
    with ZipFile(path, "w", method) as zip_file:
        for name, content in {"README.txt": b"Clips.\n", "checksums": sums.encode(), **clips}.items():
            zip_file.writestr(f"fma_small/{name}", content)
    return path
