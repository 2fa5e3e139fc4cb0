"""FMA's archives: which there are, and how one comes here and is known to be FMA's."""

import os
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Final

import requests

from lit_genre.console import byte_progress, console
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.prepare.download import download

FMA_URL: Final = "https://os.unil.cloud.switch.ch/fma"


@dataclass(frozen=True)
class Archive:
    """One of FMA's archives.

    Attributes:
        folder: The folder that everything in it is in, and its own name but for `.zip`.
        sha1: SHA-1, as FMA publishes it.
        n_bytes: Size; None where FMA tells it only roughly.
        n_tracks: Tracks in it.
    """

    folder: str
    sha1: str
    n_bytes: int | None
    n_tracks: int = 0

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.folder}.zip"


ARCHIVES: Final = {
    "metadata": Archive("fma_metadata", "f0df49ffe5f2a6008d7dc83c6915b31835dfe733", 358_412_441),
    "small": Archive("fma_small", "ade154f733639d52e35e32f5593efe5be76c6d70", 7_679_594_875, 8_000),
    "medium": Archive("fma_medium", "c67b69ea232021025fca9231fc1c7c1a063ab50b", 23_825_005_356, 25_000),
    "large": Archive("fma_large", "497109f4dd721066b5ce5e5f250ec604dc78939e", 100_306_112_191, 106_574),
    "full": Archive("fma_full", "0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab", None, 106_574),
}


def is_url(source: str) -> bool:
    """Tell the address of a server from a folder."""
    return "://" in source


def find_size(archive: Archive, source: str, timeout: float) -> int:
    """Find the size of an archive, where FMA does not tell it, by asking where it is; 0 where nobody knows."""
    if archive.n_bytes is not None:
        return archive.n_bytes
    if not is_url(source):
        path = Path(source).expanduser() / archive.name
        return path.stat().st_size if path.is_file() else 0
    try:
        response = requests.head(_address(archive, source), allow_redirects=True, timeout=timeout)
        return int(response.headers.get("Content-Length", 0)) if response.ok else 0
    except (requests.RequestException, ValueError):
        return 0  # What is wrong, the download will say.


def fetch(archive: Archive, source: str, folder: Path, timeout: float = 30.0) -> Path:
    """Bring an archive here and verify its SHA-1, as far as that is not done.

    Args:
        archive: Which.
        source: Address of the server's folder; or a folder of this machine, whose archives are used where they are.
        folder: Where downloads go, and notes of what is verified.
        timeout: Seconds without a byte after which a connection is given up for another.

    Returns:
        Path of the archive.

    Raises:
        LitGenreError: The archive cannot be had, is not FMA's, or does not fit on the disk.
    """
    path = (folder if is_url(source) else Path(source).expanduser()) / archive.name
    note = note_of(archive, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            _verify(path, archive, note)
        elif is_url(source):
            _download(archive, source, path, timeout)
        else:
            raise LitGenreError(f"There is no {path}: copy it there, or name another place by --base_url.")
        with atomic_write(note, durable=False) as file:
            file.write(_state(path, archive).encode())
    except OSError as error:
        raise LitGenreError(
            f"{archive.name} cannot be kept in {folder}: {error}. Free space, or name another --root. What is "
            "downloaded is kept, and the same command goes on from there."
        ) from error
    return path


def note_of(archive: Archive, folder: Path) -> Path:
    """Name the note that says that an archive is verified."""
    return folder / f"{archive.name}.verified"


def _address(archive: Archive, source: str) -> str:
    return f"{source.rstrip('/')}/{archive.name}"


def _download(archive: Archive, source: str, path: Path, timeout: float) -> None:
    part = path.with_name(f"{path.name}.part")
    digest = download(_address(archive, source), part, archive.n_bytes, timeout)
    part.with_name(f"{part.name}.version").unlink(missing_ok=True)
    if digest != archive.sha1:
        part.unlink()
        raise LitGenreError(
            f"What {_address(archive, source)} sent is not FMA's archive: its SHA-1 is {digest}, not {archive.sha1}. "
            "It was deleted. Download it again by the same command, or from another server by --base_url."
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _state(path: Path, archive: Archive) -> str:
    status = path.stat()
    return f"{archive.sha1} {status.st_size} {status.st_mtime_ns} {path.resolve()}"


def _verify(path: Path, archive: Archive, note: Path) -> None:
    if note.is_file() and note.read_text(encoding="utf-8") == _state(path, archive):
        console.print(f"{archive.name} is here and verified already.")
        return
    n_bytes = path.stat().st_size
    if archive.n_bytes not in (None, n_bytes):
        fault = f"it has {n_bytes:,} bytes, not {archive.n_bytes:,}"
    elif (digest := _sha1(path)) != archive.sha1:
        fault = f"its SHA-1 is {digest}, not {archive.sha1}"
    else:
        return
    raise LitGenreError(f"{path} is not FMA's archive, or not whole: {fault}. Delete it and download it again.")


def _sha1(path: Path) -> str:
    digest = sha1(usedforsecurity=False)
    with path.open("rb") as file, byte_progress(f"Verifying {path.name}", path.stat().st_size) as moved:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            moved(len(chunk))
    return digest.hexdigest()
