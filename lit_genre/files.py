"""Write files such that a reader finds the old content or the new one, never a part of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a new file next to `path`, and move it to `path` when the block ends without an error.

    The new file is `.<name>.part`; what a killed process left there is deleted, and a symbolic link there is not
    followed. One process at a time may write a path.

    Args:
        path: The file to write or to replace.
        durable: Whether the content is on the disk before it replaces the old one, so that a power cut loses neither.

    Yields:
        The new file, open for writing bytes.

    Raises:
        OSError: The file cannot be written; the old one is as it was.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        # "x" fails where anything is, also a link that another process put there since.
        with part.open("xb") as file:
            yield file
            if durable:
                sync(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sync(file: IO[bytes]) -> None:
    """Force the buffered content of a file to the disk.

    Args:
        file: The file, open for writing.
    """
    file.flush()
    os.fsync(file.fileno())
