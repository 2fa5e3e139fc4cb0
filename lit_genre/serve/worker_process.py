"""Make calls in a worker process of `WorkerPool`, one after another, within a memory limit."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any


class WorkerError(Exception):
    """A worker process did not return a result; the text is the reason."""


def run_calls(connection: Connection, name: str, max_bytes: int | None) -> None:
    """Make one call after another, until the other process closes the connection.

    Args:
        connection: Receives (function, args, kwargs); sends (True, result) or (False, exception), pickled.
        name: Name of this process in messages.
        max_bytes: Memory limit, bytes; None for no limit.
    """
    if sys.platform != "win32":
        # A process group, which can be killed as a whole; Ctrl-C in a terminal no longer reaches it.
        os.setsid()
    else:
        # Ctrl-C in a console reaches it, and this process would print a traceback before the server kills it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit_memory(max_bytes)
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        connection.send_bytes(_call(function, args, kwargs, name))


def _call(function: Callable[..., Any], args: Any, kwargs: Any, name: str) -> bytes:
    """Return a pickled pair: whether a function succeeded, and its result or exception."""
    try:
        return pickle.dumps((True, function(*args, **kwargs)))
    except MemoryError:
        return pickle.dumps((False, WorkerError(f"the {name} needed too much memory")))
    except Exception as error:
        # Pickling loses the traceback, which a log should show.
        error.add_note(f"In the {name} process:\n{traceback.format_exc()}")
        return _pickle_error(error, name)


def _pickle_error(error: Exception, name: str) -> bytes:
    try:
        pickled = pickle.dumps((False, error))
        # If the constructor of an exception takes other arguments than it stores, it can be pickled but not unpickled.
        pickle.loads(pickled)
    except Exception:
        return pickle.dumps((False, WorkerError(f"the {name} failed: {type(error).__name__}: {error}")))
    return pickled


def _end_with_parent() -> None:
    """Kill this process and the processes that it started when the parent has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _limit_memory(max_bytes: int | None) -> None:
    """Limit the memory that this process may allocate; Windows has no such limit, and macOS may refuse it."""
    if sys.platform == "win32":
        return
    import resource

    # No core dumps: a crash must not leave a copy of the memory, which contains a user's file, on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if max_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
        # RLIMIT_DATA, not RLIMIT_AS: libraries reserve far more addresses than they use memory.
        # macOS refuses this limit: https://github.com/hacksider/Deep-Live-Cam/issues/1848
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
