"""Download one large file by HTTP over unreliable connections, resuming after errors and in the next call."""

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
"""Consecutive attempts without a new byte after which a download fails."""

PAUSE = 1.0  # Not Final, because tests shorten it.
"""Pause before the second of these attempts, s; each further pause is twice as long."""

_CHUNK: Final = 1 << 16
"""Bytes that are written at a time. When a connection breaks, at most this number of bytes is lost."""


class _AttemptError(Exception):
    """An error after which another attempt may succeed."""


def download(url: str, path: Path, n_bytes: int | None, timeout: float) -> str:
    """Download a file, or the missing end of it, and compute its SHA-1.

    Args:
        url: Address of the file.
        path: Where the file is written. If it exists, it is the beginning of the file, and `<path>.version` next to it
            has the version that the server gave.
        n_bytes: Size of the file, bytes; None to use the size that the server gives.
        timeout: Time without a byte after which a new connection is opened, s.

    Returns:
        SHA-1 of the whole file, hexadecimal.

    Raises:
        LitGenreError: The server refuses, has another file, or sent no new byte in `ATTEMPTS` attempts.
        OSError: The file cannot be written. The downloaded part is kept.
    """
    with _Part(path, n_bytes) as part, requests.Session() as session:
        furthest, failures = part.position, 0
        with byte_progress(f"Downloading {path.stem}", n_bytes, part.position) as advance:
            while part.position != part.n_bytes:
                try:
                    _attempt(session, url, part, timeout, advance)
                except _AttemptError as reason:
                    # An attempt with a new byte is not a failure: a long download may lose many connections.
                    failures = 0 if part.position > furthest else failures + 1
                    furthest = max(furthest, part.position)
                    _pause_or_give_up(url, str(reason), failures, part.position)
        return part.sha1.hexdigest()


class _Part:
    """The downloaded beginning of a file.

    Args:
        path: The file on the disk.
        n_bytes: Size of the whole file, bytes; None if it is unknown.

    Attributes:
        expected: The same size.
        n_bytes: Size of the whole file, which the server gives if it is unknown.
        position: Number of bytes that are downloaded.
        sha1: SHA-1 of these bytes.
    """

    def __init__(self, path: Path, n_bytes: int | None) -> None:
        self.expected = n_bytes
        self.n_bytes = n_bytes
        self.position = 0
        self.sha1 = sha1(usedforsecurity=False)
        self._name = path.stem
        self._version = path.with_name(f"{path.name}.version")
        # Another user may have put a link here, to have a file elsewhere overwritten.
        if path.is_symlink():
            path.unlink()
        # Unbuffered: `position` then counts only bytes that are in the file. Mode "a" writes to its end after any read.
        self._file = open(path, "a+b", buffering=0, opener=_open_no_link)  # noqa: SIM115
        n_existing = path.stat().st_size
        if n_bytes is not None and n_existing > n_bytes:
            self.restart("")
        elif n_existing:
            self._read_existing(n_existing)

    def _read_existing(self, n_existing: int) -> None:
        """Compute the SHA-1 of the bytes that an earlier call has downloaded."""
        self._file.seek(0)
        with byte_progress("Reading the downloaded part", n_existing) as advance:
            while chunk := self._file.read(1 << 20):
                self.sha1.update(chunk)
                self.position += len(chunk)
                advance(len(chunk))

    @property
    def version(self) -> str:
        """Version of the file that the server gave, "" if it gave none."""
        return self._version.read_text(encoding="latin-1") if self._version.exists() else ""

    def restart(self, version: str) -> None:
        """Delete the downloaded bytes, because they are not the beginning of the file on the server."""
        self._file.truncate(0)
        self.position = 0
        self.sha1 = sha1(usedforsecurity=False)
        with atomic_write(self._version, durable=False) as file:
            # As requests decodes headers.
            file.write(version.encode("latin-1"))

    def append(self, chunk: bytes) -> None:
        """Append bytes to the file."""
        if self.n_bytes is not None and self.position + len(chunk) > self.n_bytes:
            raise LitGenreError(
                f"{self._name}: the server sends more than the {self.n_bytes:,} bytes that the file should have."
            )
        # An unbuffered file may write only a part of the bytes.
        unwritten = memoryview(chunk)
        while unwritten:
            unwritten = unwritten[self._file.write(unwritten) :]
        self.sha1.update(chunk)
        self.position += len(chunk)

    def __enter__(self) -> "_Part":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _open_no_link(path: str, flags: int) -> int:
    """Open a file with the usual permissions; fail if another process has put a symbolic link there."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _attempt(session: requests.Session, url: str, part: _Part, timeout: float, advance: Callable[[int], None]) -> None:
    # Without this header the server may compress the answer, and positions in it would not be positions in the file.
    headers = {"Accept-Encoding": "identity"}
    if part.position:
        headers["Range"] = f"bytes={part.position}-"
        if part.version:
            headers["If-Range"] = part.version
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_status(response, url)
            before = part.position
            _check_range(response, url, part)
            advance(part.position - before)
            if part.position == part.n_bytes:
                return
            for chunk in response.iter_content(_CHUNK):
                part.append(chunk)
                advance(len(chunk))
    except requests.RequestException as error:
        # An invalid address raises a ValueError, such as MissingSchema; another attempt would not help.
        if isinstance(error, ValueError | requests.TooManyRedirects):
            raise LitGenreError(f"{url} is not an address to download from: {error}") from error
        raise _AttemptError(_describe(error, timeout)) from error
    # The server gave no size, so the end of the response is the end of the file.
    if part.n_bytes is None:
        part.n_bytes = part.position
    if part.position < part.n_bytes:
        raise _AttemptError("the connection was closed early")


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    answer = f"the server answers {status} ({response.reason})"
    # Too many requests, or an error of the server: a later attempt may succeed.
    if status == 429 or status >= 500:
        raise _AttemptError(answer)
    if status not in (200, 206, 416):
        raise LitGenreError(f"{url}: {answer}. Check the address, or choose another with --base_url.")


def _check_range(response: requests.Response, url: str, part: _Part) -> None:
    """Start again from the beginning if the server does not send the bytes after the downloaded part."""
    begin, n_bytes = _content_range(response)
    if part.expected is not None and n_bytes not in (None, part.expected):
        raise LitGenreError(
            f"{url} has {n_bytes:,} bytes, but should have {part.expected:,}: it is not FMA's archive, or is "
            "incomplete. Choose another server or a folder with --base_url."
        )
    version = _version(response)
    # 416: the requested range is empty, because the whole file is downloaded. 200: the server sends the whole file.
    if response.status_code == 416 and n_bytes == part.position:
        part.n_bytes = n_bytes
    elif response.status_code == 200:
        if part.position:
            same = version == part.version
            reason = "The server cannot send a part of the file" if same else "The file has changed on the server"
            console.print(f"{reason}. It is downloaded from the beginning.")
        part.restart(version)
        part.n_bytes = n_bytes if part.expected is None else part.expected
    elif begin != part.position or part.n_bytes not in (None, n_bytes):
        part.restart("")
        raise _AttemptError("the server sent another part than was requested")


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return the position where the answer begins, and the size of the whole file, both None if unknown."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    begin, n_bytes = match.groups() if match else (None, None)
    return int(begin) if begin else None, int(n_bytes) if n_bytes and n_bytes != "*" else None


def _version(response: requests.Response) -> str:
    """Return the version of a file as If-Range accepts it (RFC 9110): an ETag that is not weak, or a date."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _describe(error: requests.RequestException, timeout: float) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    # The messages of requests are long; the first exception of the chain has the cause.
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause)


def _pause_or_give_up(url: str, reason: str, failures: int, position: int) -> None:
    if failures == ATTEMPTS:
        raise LitGenreError(
            f"{url}: {reason}. {ATTEMPTS} attempts without a new byte. The {position:,} downloaded bytes are kept, and "
            "the same command resumes there. Try later, or choose another server with --base_url."
        )
    pause = PAUSE * 2 ** max(failures - 1, 0)
    if failures:
        console.print(f"{reason[:1].upper()}{reason[1:]}. Next attempt in {pause:g} s.")
    time.sleep(pause)
