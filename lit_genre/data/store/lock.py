"""Lock a folder so that only one process at a time writes to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lit_genre.console import console


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder in the context; if another process holds it, print a message and wait.

    Args:
        folder: The folder, which must exist; the file `lock` in it remains.

    Yields:
        None, while the lock is held.

    Raises:
        OSError: The file of the lock cannot be opened.
    """
    # The operating system releases this lock when a process is killed, so no stale lock ever blocks a build.
    lock = FileLock(folder / "lock")
    try:
        # Tried without waiting first, because the message is only useful if the process must wait.
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"Another process is working in {folder}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
