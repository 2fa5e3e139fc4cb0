"""Archives as FMA's are: bzip2 inside, read-only files, a list of checksums."""

import zipfile
from collections.abc import Mapping
from hashlib import sha1
from pathlib import Path

import numpy as np


def mp3s(count: int, n_bytes: int = 2000) -> dict[str, bytes]:
    """Make files that compress as badly as MP3 does."""
    generator = np.random.default_rng(0)
    return {f"{k // 1000:03d}/{k:06d}.mp3": generator.bytes(n_bytes) for k in range(count)}


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Write the lines of a list of checksums."""
    return "".join(f"{sha1(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


def info(name: str, mode: int = 0o100444, method: int = zipfile.ZIP_BZIP2) -> zipfile.ZipInfo:
    """Describe an entry."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    entry.compress_type = method
    return entry


def write_archive(path: Path, files: Mapping[str, bytes], listed: Mapping[str, bytes] | bytes | None = None) -> Path:
    """Write an archive whose checksums are those of `files`, or of others, or a text."""
    listing = listed if isinstance(listed, bytes) else checksums(files if listed is None else listed)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"README.txt": b"Read me.", "checksums": listing, **files}.items():
            archive.writestr(info(f"{path.stem}/{name}"), content)
    return path
