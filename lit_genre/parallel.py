"""Call a function for many tracks in parallel threads.

Threads are enough, because reading files, hashing and torch release the GIL.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import torch

from lit_genre.console import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_threads(
    work: Callable[[Item], Result], items: Sequence[Item], description: str, unit: str = "tracks"
) -> list[Result]:
    """Call a function for each item in parallel threads, with a progress bar.

    Args:
        work: The function. Any thread may call it.
        items: The items.
        description: Text before the progress bar.
        unit: Name of the items in the rate of the progress bar.

    Returns:
        Results in the order of the items.

    Raises:
        Exception: The first exception of the function, in the order of the items.
    """
    results = []
    # torch before the pool: with OpenMP, a thread reads the number of threads when it first uses torch. `imap` keeps
    # the order of the items, but returns each result before all are ready, for the progress bar.
    with progress(description, len(items), unit) as advance, _one_torch_thread_each(), ThreadPool() as pool:
        for result in pool.imap(work, items):
            results.append(result)
            advance()
    return results


@contextmanager
def _one_torch_thread_each() -> Iterator[None]:
    """Make torch use one thread in each of the threads, so that together they do not use more threads than cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
