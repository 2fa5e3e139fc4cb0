"""Share the runs of a comparison among processes: each run is trained by the process that claims it."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from lit_genre.runs.folder import RunFolder


@contextmanager
def claim(folder: RunFolder) -> Iterator[bool]:
    """Claim a run for the time of the block.

    The claim is a lock of the operating system on a file. It ends with the process, also if that is killed. On a disk
    that several machines share, it needs a file system with locks, such as NFS 4 or Lustre.

    Args:
        folder: Folder of the run.

    Yields:
        True if this process has the claim; False if another process has it.
    """
    # Not in the folder of the run, whose own lock is held by the training.
    claims = folder.path.parent.parent / ".claims"
    claims.mkdir(parents=True, exist_ok=True)
    lock = FileLock(claims / f"{folder.path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
