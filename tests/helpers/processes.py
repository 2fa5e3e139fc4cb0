"""Wait for processes to end, and find those that a process started."""

import time

import psutil

PATIENCE = 30.0  # s


def is_alive(process_id: int) -> bool:
    """Say whether a process runs; one that has ended, and for which its parent has not waited yet, does not."""
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(*process_ids: int) -> None:
    """Wait until none of the processes runs.

    Raises:
        AssertionError: One of them still runs after 30 s.
    """
    end = time.monotonic() + PATIENCE
    while living := {process_id for process_id in process_ids if is_alive(process_id)}:
        assert time.monotonic() < end, living
        time.sleep(0.01)


def descendants(process_id: int) -> set[int]:
    """List the processes that a process started, those that these started, and so on."""
    return {child.pid for child in psutil.Process(process_id).children(recursive=True)}
