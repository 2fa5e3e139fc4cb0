"""Let one process at a time work in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lit_genre.console import console


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder in the context; if another process holds it, print a message and wait.

    Args:
        folder: The folder.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"Another process is working in {folder}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
