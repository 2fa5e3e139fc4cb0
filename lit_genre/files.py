"""Write files atomically: a reader finds the old content or the new content, never a part of it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses between attempts to replace a file on Windows, s."""


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a new file next to `path`, and move it to `path` when the block ends without an error.

    The new file is `.<name>.part`. A file of this name that a killed process left is deleted, and a symbolic link of
    this name is not followed. Only one process at a time may write a path.

    Args:
        path: The file to write or to replace.
        durable: Whether to force the content to the disk before it replaces the old content. After a power cut, the
            file then has the old content or the new content.

    Yields:
        The new file, open for writing bytes.

    Raises:
        OSError: The file cannot be written; the old file is unchanged.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        # Mode "x" raises an error if the name exists, also if another process has created a link in the meantime.
        with part.open("xb") as file:
            yield file
            if durable:
                sync(file)
        # Atomic, because both names are in one folder and so on one file system.
        _replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _replace(part: Path, path: Path) -> None:
    """Move a file to a path; on Windows try again while another process, such as a virus scanner, has a file open."""
    for pause in _PAUSES if sys.platform == "win32" else ():
        try:
            part.replace(path)
            return
        except PermissionError:
            time.sleep(pause)
    part.replace(path)


def sync(file: IO[bytes]) -> None:
    """Force the buffered content of a file to the disk.

    Args:
        file: The file, open for writing.

    Raises:
        OSError: The content cannot be written.
    """
    file.flush()
    os.fsync(file.fileno())
