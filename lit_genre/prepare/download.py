"""Download one large file by HTTP over bad connections: it goes on where it stopped, in this call and in the next."""

import os
import re
import time
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from typing import Final

import requests

from lit_genre.console import byte_progress, console
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write

ATTEMPTS: Final = 6
"""Attempts in a row without a new byte before a download is given up."""
PAUSE = 1.0
"""Seconds before the second of them; each further pause is twice as long."""

# A connection that breaks off loses at most so much.
_CHUNK: Final = 1 << 16


class _AttemptError(Exception):
    """This attempt failed; the next one may not."""


def download(url: str, path: Path, n_bytes: int | None, timeout: float) -> str:
    """Download a file, or what is missing of it, and compute its SHA-1 on the way.

    Args:
        url: Address.
        path: Where it goes. What lies there is the beginning of the file, and beside it, in `<path>.version`, what the
            server called the version that it is of.
        n_bytes: Size of the file; None to believe the server.
        timeout: Seconds without a byte after which a connection is given up for another.

    Returns:
        SHA-1 of the whole file.

    Raises:
        LitGenreError: The server refuses, has another file, or gave no new byte in `ATTEMPTS` attempts.
        OSError: The file cannot be written. What is there is kept.
    """
    with _Part(path, n_bytes) as part, requests.Session() as session:
        furthest, failures = part.position, 0
        with byte_progress(f"Downloading {path.stem}", n_bytes, part.position) as moved:
            while part.position != part.n_bytes:
                try:
                    _attempt(session, url, part, timeout, moved)
                except _AttemptError as reason:
                    failures = 0 if part.position > furthest else failures + 1
                    furthest = max(furthest, part.position)
                    _pause_or_give_up(url, str(reason), failures, part.position)
        return part.sha1.hexdigest()


class _Part:
    """The beginning of the file, as far as it is here."""

    def __init__(self, path: Path, n_bytes: int | None) -> None:
        self.expected = n_bytes
        self.n_bytes = n_bytes  # by the server, where nobody else knows
        self.position = 0
        self.sha1 = sha1(usedforsecurity=False)
        self._name = path.stem
        self._version = path.with_name(f"{path.name}.version")
        if path.is_symlink():
            path.unlink()
        self._file = open(path, "a+b", buffering=0, opener=_open_no_link)  # noqa: SIM115
        found = path.stat().st_size
        if n_bytes is not None and found > n_bytes:
            self.restart("")
        elif found:
            self._read(found)

    def _read(self, found: int) -> None:
        self._file.seek(0)
        with byte_progress("Reading what is here already", found) as moved:
            while chunk := self._file.read(1 << 20):
                self.sha1.update(chunk)
                self.position += len(chunk)
                moved(len(chunk))

    @property
    def version(self) -> str:
        """What the server called the version of the file, "" where it did not."""
        return self._version.read_text(encoding="latin-1") if self._version.exists() else ""

    def restart(self, version: str) -> None:
        """Forget what is here, for a file of another version."""
        self._file.truncate(0)
        self.position = 0
        self.sha1 = sha1(usedforsecurity=False)
        with atomic_write(self._version, durable=False) as file:
            file.write(version.encode("latin-1"))

    def append(self, chunk: bytes) -> None:
        """Write what follows."""
        if self.n_bytes is not None and self.position + len(chunk) > self.n_bytes:
            raise LitGenreError(
                f"{self._name}: the server sends more than the {self.n_bytes:,} bytes that it should have."
            )
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.sha1.update(chunk)
        self.position += len(chunk)

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _open_no_link(path: str, flags: int) -> int:
    """Open a file with the usual permissions, and fail where another process has put a symbolic link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _attempt(session: requests.Session, url: str, part: _Part, timeout: float, moved: Callable[[int], None]) -> None:
    # Compressed on the way, the bytes would not be those that were counted.
    headers = {"Accept-Encoding": "identity"}
    if part.position:
        headers["Range"] = f"bytes={part.position}-"
        if part.version:
            headers["If-Range"] = part.version
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_status(response, url)
            before = part.position
            _agree_on_place(response, url, part)
            moved(part.position - before)
            if part.position == part.n_bytes:
                return
            for chunk in response.iter_content(_CHUNK):
                part.append(chunk)
                moved(len(chunk))
    except requests.RequestException as error:
        if isinstance(error, ValueError | requests.TooManyRedirects):
            raise LitGenreError(f"{url} is no address to download from: {error}") from error
        raise _AttemptError(_plain(error, timeout)) from error
    if part.n_bytes is None:
        part.n_bytes = part.position
    if part.position < part.n_bytes:
        raise _AttemptError("the connection was closed early")


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    answer = f"the server answers {status} ({response.reason})"
    if status == 429 or status >= 500:
        raise _AttemptError(answer)
    if status not in (200, 206, 416):
        raise LitGenreError(f"{url}: {answer}. Check the address, or name another by --base_url.")


def _agree_on_place(response: requests.Response, url: str, part: _Part) -> None:
    """Begin anew where the server does not send what follows on what is here."""
    begin, n_bytes = _place(response)
    if part.expected is not None and n_bytes not in (None, part.expected):
        raise LitGenreError(
            f"{url} has {n_bytes:,} bytes, but should have {part.expected:,}: it is not FMA's archive, or not whole. "
            "Name another server or a folder by --base_url."
        )
    version = _version(response)
    if response.status_code == 416 and n_bytes == part.position:
        part.n_bytes = n_bytes
    elif response.status_code == 200:
        if part.position:
            again = "The server cannot send a part of it" if version == part.version else "It changed on the server"
            console.print(f"{again}: downloading from the beginning.")
        part.restart(version)
        part.n_bytes = n_bytes if part.expected is None else part.expected
    elif begin != part.position or part.n_bytes not in (None, n_bytes):
        part.restart("")
        raise _AttemptError("the server sent another part than was asked for")


def _place(response: requests.Response) -> tuple[int | None, int | None]:
    """Read where the answer begins, and the size of the whole file."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    begin, n_bytes = found.groups() if found else (None, None)
    return int(begin) if begin else None, int(n_bytes) if n_bytes and n_bytes != "*" else None


def _version(response: requests.Response) -> str:
    """Name the version by what If-Range takes: a tag that is not weak, or a date."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _plain(error: requests.RequestException, timeout: float) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"nothing came for {timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    root: BaseException = error
    while root.__context__ is not None:
        root = root.__context__
    return (root.strerror if isinstance(root, OSError) else None) or str(root)


def _pause_or_give_up(url: str, reason: str, failures: int, position: int) -> None:
    if failures == ATTEMPTS:
        raise LitGenreError(
            f"{url}: {reason}; {ATTEMPTS} attempts brought nothing. The {position:,} bytes that are here are kept, and "
            "the same command goes on from there: try later, or name another server by --base_url."
        )
    pause = PAUSE * 2 ** max(failures - 1, 0)
    if failures:
        console.print(f"{reason[:1].upper()}{reason[1:]}: trying again in {pause:g} s.")
    time.sleep(pause)
