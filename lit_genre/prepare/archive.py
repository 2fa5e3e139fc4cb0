"""Download FMA's archives, and verify that they are FMA's."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Final

import requests

from lit_genre.console import byte_progress, console
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write, sync
from lit_genre.prepare.download import download

FMA_URL: Final = "https://os.unil.cloud.switch.ch/fma"
"""Address of the folder with FMA's archives."""


@dataclass(frozen=True)
class Archive:
    """One of FMA's archives.

    Attributes:
        folder: Folder that contains all files of the archive; also the name of the archive without `.zip`.
        sha1: SHA-1 of the archive, as FMA publishes it.
        n_bytes: Size, bytes; None if FMA publishes only an approximate size.
        n_tracks: Number of tracks in the archive.
    """

    folder: str
    sha1: str
    n_bytes: int | None
    n_tracks: int = 0

    @property
    def name(self) -> str:
        """File name of the archive."""
        return f"{self.folder}.zip"


# SHA-1 from the README of FMA (Defferrard et al., 2017, github.com/mdeff/fma).
ARCHIVES: Final = {
    "metadata": Archive("fma_metadata", "f0df49ffe5f2a6008d7dc83c6915b31835dfe733", 358_412_441),
    "small": Archive("fma_small", "ade154f733639d52e35e32f5593efe5be76c6d70", 7_679_594_875, 8_000),
    "medium": Archive("fma_medium", "c67b69ea232021025fca9231fc1c7c1a063ab50b", 23_825_005_356, 25_000),
    "large": Archive("fma_large", "497109f4dd721066b5ce5e5f250ec604dc78939e", 100_306_112_191, 106_574),
    "full": Archive("fma_full", "0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab", None, 106_574),
}


def is_url(source: str) -> bool:
    """Check whether a source is the address of a server.

    Args:
        source: Address of a server's folder, or a local folder.

    Returns:
        False for a local folder.
    """
    return "://" in source


def find_size(archive: Archive, source: str, timeout: float) -> int:
    """Return the size of an archive; if FMA does not publish it, ask the source.

    Args:
        archive: The archive.
        source: Address of the server's folder, or a local folder.
        timeout: Longest time to wait for an answer, s.

    Returns:
        Size, bytes; 0 if it is unknown.
    """
    if archive.n_bytes is not None:
        return archive.n_bytes
    if not is_url(source):
        path = Path(source).expanduser() / archive.name
        return path.stat().st_size if path.is_file() else 0
    try:
        response = requests.head(_address(archive, source), allow_redirects=True, timeout=timeout)
        return int(response.headers.get("Content-Length", 0)) if response.ok else 0
    except (requests.RequestException, ValueError):
        return 0  # The download reports the error.


def fetch(archive: Archive, source: str, folder: Path, timeout: float = 30.0) -> Path:
    """Download an archive and verify its SHA-1, unless this is done already.

    Args:
        archive: The archive.
        source: Address of the server's folder, or a local folder; archives in a local folder are read in place.
        folder: Folder for downloads and for the records of verified archives.
        timeout: Time without a byte after which a new connection is opened, s.

    Returns:
        Path of the archive.

    Raises:
        LitGenreError: The archive cannot be downloaded, is not FMA's, or does not fit on the disk.
    """
    # An archive in a local folder is never copied.
    path = (folder if is_url(source) else Path(source).expanduser()) / archive.name
    record = verification_record(archive, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            _verify(path, archive, record)
        elif is_url(source):
            _download(archive, source, path, timeout)
        else:
            raise LitGenreError(f"There is no {path}. Copy it there, or choose another folder with --base_url.")
        # Not durable: if a power cut deletes the record, the archive is only verified again.
        with atomic_write(record, durable=False) as file:
            file.write(_state(path, archive).encode())
    except OSError as error:
        raise LitGenreError(
            f"{archive.name} cannot be written to {folder}: {error}. Free space, or choose another --root. The "
            "downloaded part is kept, and the same command resumes there."
        ) from error
    return path


def verification_record(archive: Archive, folder: Path) -> Path:
    """Return the path of the record that an archive is verified.

    The record contains size and time of modification of the archive, so that a changed archive is verified again.

    Args:
        archive: The archive.
        folder: Folder of the archives.

    Returns:
        The path; the file need not exist.
    """
    return folder / f"{archive.name}.verified"


def _address(archive: Archive, source: str) -> str:
    return f"{source.rstrip('/')}/{archive.name}"


def _download(archive: Archive, source: str, path: Path, timeout: float) -> None:
    part = path.with_name(f"{path.name}.part")
    digest = download(_address(archive, source), part, archive.n_bytes, timeout)
    part.with_name(f"{part.name}.version").unlink(missing_ok=True)
    if digest != archive.sha1:
        # Deleted, because the next call would resume after the wrong bytes.
        part.unlink()
        raise LitGenreError(
            f"The file from {_address(archive, source)} is not FMA's archive: its SHA-1 is {digest}, not "
            f"{archive.sha1}. It was deleted. Run the same command to download it again, or choose another server "
            "with --base_url."
        )
    # Forced to the disk before it is renamed: after a power cut an archive with the final name is complete.
    # Opened for writing, without which Windows refuses.
    with part.open("r+b") as file:
        sync(file)
    part.replace(path)


def _state(path: Path, archive: Archive) -> str:
    status = path.stat()
    return f"{archive.sha1} {status.st_size} {status.st_mtime_ns} {path.resolve()}"


def _verify(path: Path, archive: Archive, record: Path) -> None:
    if record.is_file() and record.read_text(encoding="utf-8") == _state(path, archive):
        console.print(f"{archive.name} is already downloaded and verified.")
        return
    n_bytes = path.stat().st_size
    if archive.n_bytes not in (None, n_bytes):
        fault = f"it has {n_bytes:,} bytes, not {archive.n_bytes:,}"
    elif (digest := _sha1(path)) != archive.sha1:
        fault = f"its SHA-1 is {digest}, not {archive.sha1}"
    else:
        return
    raise LitGenreError(f"{path} is not FMA's archive, or is incomplete: {fault}. Delete it and download it again.")


def _sha1(path: Path) -> str:
    # FMA publishes only SHA-1. usedforsecurity=False allows it on systems that forbid weak hashes.
    digest = sha1(usedforsecurity=False)
    with path.open("rb") as file, byte_progress(f"Verifying {path.name}", path.stat().st_size) as moved:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            moved(len(chunk))
    return digest.hexdigest()
