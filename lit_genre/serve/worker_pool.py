"""Worker processes for work that may crash or never end, such as decoding a damaged file.

A thread cannot be stopped from outside; a process can. A worker that exceeds the time limit, crashes or needs too much
memory is killed with all processes that it started, and the next call starts another.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, ParamSpec, Self, TypeVar

from lit_genre.serve.worker_process import WorkerError, work

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A process that is forked from one without threads, which has imported everything already, is ready within
# milliseconds. Forking this process itself would copy locks that its other threads hold.
_METHOD: Final = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class PoolClosedError(WorkerError):
    """The pool was closed before the worker had a result."""


class _Worker(NamedTuple):
    process: Any  # The contexts of multiprocessing have a class of process each.
    connection: Connection


_UNREAD: Final = (ConnectionResetError, BrokenPipeError)
"""What the connection raises where the other process ended before it had read all that was sent."""


class WorkerPool:
    """A pool of worker processes, each of which makes one call at a time.

    Processes are started when they are first needed. Any thread may call `run`, and any thread may call `close`.

    Args:
        size: Processes at once.
        seconds: Time limit of a call, s.
        max_bytes: Memory that a worker may allocate, the imported libraries included; None for no limit. Has no effect
            where the operating system has no such limit.
        name: What messages call a worker, such as "decoder".
        preload: Modules to import once for all workers.
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
            # The imports take seconds; what the caller does next runs meanwhile.
            forkserver.ensure_running()

    def run(self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Call a function in a worker process, and wait for its result.

        Args:
            function: A function of a module; it is found by its name in the other process.
            args: Positional arguments, which can be pickled.
            kwargs: Named arguments, which can be pickled.

        Returns:
            What the function returns.

        Raises:
            WorkerError: The call exceeded the time or memory limit, or the process crashed.
            PoolClosedError: The pool was closed.
            Exception: Whatever the function raises.
        """
        for is_last in (False, True):
            worker = self._take()
            try:
                succeeded, value = self._call(worker, (function, args, kwargs))
                break
            except _UNREAD as error:
                # The process had died while it was idle, and has not begun with the call: another one takes it.
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
        """Wait for an idle worker, or start one where there are fewer than there may be."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._idle or self._n_started < self.size)
                self._check_open()
                if not self._idle:
                    self._n_started += 1
                    break
                worker = self._idle.pop()
            # The system may kill a process that does nothing, to regain its memory. The end of its connection can be
            # read at once; that the process has ended is known later, by way of the fork server.
            if worker.process.is_alive() and not worker.connection.poll():
                return worker
            self._discard(worker)
        # Outside of the lock, so that `close` need not wait for it.
        return self._start()

    def _start(self) -> _Worker:
        try:
            connection, other_end = self._context.Pipe()
            process = self._context.Process(target=work, args=(other_end, self.name, self._max_bytes), daemon=True)
            process.start()
        except BaseException as error:
            self._forget(None)
            if isinstance(error, OSError | EOFError):
                raise WorkerError(f"no {self.name} could be started: {error}") from error
            raise
        # Only the worker has this end now: when it dies, reading from ours ends.
        other_end.close()
        worker = _Worker(process, connection)
        with self._changed:
            self._workers.add(worker)
            closed = self._closed
        if closed:
            self._discard(worker)
            self._check_open()
        return worker

    def _call(self, worker: _Worker, call: object) -> tuple[bool, Any]:
        try:
            worker.connection.send(call)
            if not worker.connection.poll(self.seconds):
                raise WorkerError(f"the {self.name} was stopped after {self.seconds:g} s")
            answer: tuple[bool, Any] = worker.connection.recv()
        except EOFError as error:
            self._check_open()
            raise WorkerError(f"the {self.name} crashed") from error
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosedError(f"the {self.name} was stopped")

    def _discard(self, worker: _Worker) -> None:
        _kill(worker)
        worker.process.join()
        worker.connection.close()
        self._forget(worker)

    def _forget(self, worker: _Worker | None) -> None:
        with self._changed:
            self._n_started -= 1
            self._workers -= {worker}
            self._changed.notify()


def _kill(worker: _Worker) -> None:
    """Kill a worker and the processes that it started, which are in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(worker.process.pid, signal.SIGKILL)
    # Where it has not come so far as to have a group.
    worker.process.kill()
