"""Work on many tracks, each in a thread of its own: reading, hashing and torch release the GIL."""

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
    """Do the work on each item, with a progress bar; the results are in the order of the items."""
    results = []
    with progress(description, len(items), unit) as advance, _one_torch_thread_each(), ThreadPool() as pool:
        for result in pool.imap(work, items):
            results.append(result)
            advance()
    return results


@contextmanager
def _one_torch_thread_each() -> Iterator[None]:
    """Let tracks, not the parts of one, share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
