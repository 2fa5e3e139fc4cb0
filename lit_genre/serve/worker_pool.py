"""Run functions that may crash or never end, such as decoding a damaged file, in worker processes.

A thread cannot be stopped from outside; a process can. A worker that exceeds the time limit, crashes or needs too much
memory is killed with all processes that it started, and the next call starts another.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, ParamSpec, Self, TypeVar

from lit_genre.serve.worker_process import WorkerError, run_calls

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A process that is forked from one without threads, which has imported everything already, is ready within
# milliseconds. Forking this process itself would copy locks that its other threads hold. Windows cannot fork. On macOS
# a fork may crash in the system's libraries, such as Accelerate: https://github.com/python/cpython/issues/77906
_METHOD: Final = "spawn" if sys.platform in ("win32", "darwin") else "forkserver"


class PoolClosedError(WorkerError):
    """The pool was closed before the worker returned a result."""


class _Worker(NamedTuple):
    process: Any  # Each start method of multiprocessing has its own class of process.
    connection: Connection


_DISCONNECTED: Final = (ConnectionResetError, BrokenPipeError)
"""Errors of a connection if the other process ended before it read everything that was sent."""


class WorkerPool:
    """A pool of worker processes, each of which makes one call at a time.

    Processes are started when they are first needed. Any thread may call `run`, and any thread may call `close`.

    Args:
        size: Largest number of processes at the same time.
        seconds: Time limit of a call, s.
        max_bytes: Memory that a worker may allocate, bytes, including the imported libraries; None for no limit. It is
            ignored if the operating system has no such limit.
        name: Name of a worker in messages, such as "decoder".
        preload: Modules that are imported once for all workers.
    """

    def __init__(
        self,
        size: int,
        seconds: float,
        max_bytes: int | None = None,
        name: str = "worker",
        preload: tuple[str, ...] = (),
    ) -> None:
        self.size, self.seconds, self.name = size, seconds, name
        self._max_bytes = max_bytes
        self._context: Any = multiprocessing.get_context(_METHOD)
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._n_started = 0  # Workers that exist or are being started.
        self._closed = False
        if _METHOD == "forkserver":
            from multiprocessing import forkserver

            self._context.set_forkserver_preload(list(preload))
            # Started now, because the imports take seconds, in which the caller can do something else.
            forkserver.ensure_running()

    def run(self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Call a function in a worker process, and wait for its result.

        Args:
            function: A function at the top level of a module, since the other process finds it by its name.
            args: Positional arguments, which can be pickled.
            kwargs: Named arguments, which can be pickled.

        Returns:
            Result of the function.

        Raises:
            WorkerError: The call exceeded the time or memory limit, or the process crashed.
            PoolClosedError: The pool was closed.
            Exception: Any exception of the function.
        """
        for is_last in (False, True):
            worker = self._take()
            try:
                succeeded, value = self._call(worker, (function, args, kwargs))
                break
            except _DISCONNECTED as error:
                # The process died while it was idle and has not started the call, so another one may make it.
                self._discard(worker)
                self._check_open()
                if is_last:
                    raise WorkerError(f"the {self.name} crashed") from error
            except BaseException:
                self._discard(worker)
                raise
        with self._changed:
            self._idle.append(worker)
            self._changed.notify()
        if succeeded:
            result: Result = value
            return result
        raise value

    def close(self) -> None:
        """Kill all workers; calls that wait for one raise PoolClosedError."""
        with self._changed:
            self._closed = True
            workers = list(self._workers)
            self._changed.notify_all()
        for worker in workers:
            _kill(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> _Worker:
        """Return an idle worker; wait for one, or start one if there are fewer than `size`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._idle or self._n_started < self.size)
                self._check_open()
                if not self._idle:
                    self._n_started += 1
                    break
                worker = self._idle.pop()
            # The operating system may kill an idle process to regain its memory. The connection shows its end at once;
            # `is_alive` is delayed, because the fork server reports it.
            if worker.process.is_alive() and not worker.connection.poll():
                return worker
            self._discard(worker)
        # Outside of the lock, so that `close` does not wait for it.
        return self._start()

    def _start(self) -> _Worker:
        try:
            connection, other_end = self._context.Pipe()
            process = self._context.Process(target=run_calls, args=(other_end, self.name, self._max_bytes), daemon=True)
            process.start()
        except BaseException as error:
            self._remove(None)
            if isinstance(error, OSError | EOFError):
                raise WorkerError(f"no {self.name} could be started: {error}") from error
            raise
        # Now only the worker has this end: when it dies, reading from our end raises EOFError.
        other_end.close()
        worker = _Worker(process, connection)
        with self._changed:
            self._workers.add(worker)
            closed = self._closed
        # `close` ran while the process was starting, and could not kill it.
        if closed:
            self._discard(worker)
            self._check_open()
        return worker

    def _call(self, worker: _Worker, call: object) -> tuple[bool, Any]:
        """Return whether a call succeeded, and its result or exception."""
        try:
            worker.connection.send(call)
            if not worker.connection.poll(self.seconds):
                raise WorkerError(f"the {self.name} was stopped after {self.seconds:g} s")
            outcome: tuple[bool, Any] = worker.connection.recv()
        except EOFError as error:
            self._check_open()
            raise WorkerError(f"the {self.name} crashed") from error
        return outcome

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosedError(f"the {self.name} was stopped")

    def _discard(self, worker: _Worker) -> None:
        """Kill a worker and remove it from the pool."""
        _kill(worker)
        worker.process.join()
        worker.connection.close()
        self._remove(worker)

    def _remove(self, worker: _Worker | None) -> None:
        with self._changed:
            self._n_started -= 1
            self._workers -= {worker}
            self._changed.notify()


def _kill(worker: _Worker) -> None:
    """Kill a worker and the processes that it started, which are in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(worker.process.pid, signal.SIGKILL)
    # If it was killed before it created its process group.
    worker.process.kill()
