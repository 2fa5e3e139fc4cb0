"""What runs in a worker process of `WorkerPool`: one call after another, within a memory limit."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class WorkerError(Exception):
    """A worker process returned nothing; the text is the reason."""


def work(connection: Connection, name: str, max_bytes: int | None) -> None:
    """Make one call after another, until the other process closes the connection.

    Args:
        connection: Receives (function, args, kwargs); sends (True, result) or (False, exception), pickled.
        name: What messages call this process.
        max_bytes: Memory limit; None for none.
    """
    if hasattr(os, "setsid"):
        # A process group, which can be killed as a whole; Ctrl-C in a terminal no longer reaches it.
        os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory(max_bytes)
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        connection.send_bytes(_call(function, args, kwargs, name))


def _call(function: Callable[..., Any], args: Any, kwargs: Any, name: str) -> bytes:
    """Call a function; return whether it succeeded and what it returned or raised, pickled."""
    try:
        return pickle.dumps((True, function(*args, **kwargs)))
    except MemoryError:
        return pickle.dumps((False, WorkerError(f"the {name} needed too much memory")))
    except Exception as error:
        error.add_note(f"In the {name} process:\n{traceback.format_exc()}")
        return _pickle_error(error, name)


def _pickle_error(error: Exception, name: str) -> bytes:
    try:
        pickled = pickle.dumps((False, error))
        # An exception whose constructor takes other arguments than it stores can be written, but not read.
        pickle.loads(pickled)
    except Exception:
        return pickle.dumps((False, WorkerError(f"the {name} failed: {type(error).__name__}: {error}")))
    return pickled


def _end_with_parent() -> None:
    """Kill this process and those that it started when the parent is gone, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _limit_memory(max_bytes: int | None) -> None:
    if sys.platform == "win32":
        return
    import resource

    # A crash leaves no copy of the memory, which holds a user's file, in the working directory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if max_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
