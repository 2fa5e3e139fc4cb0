"""Print messages and progress bars on stderr, and results on stdout; any text is shown as it is."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.text import Text

from lit_genre.text import one_line, printable


class _PlainConsole(Console):
    """A console that shows a str as it is, without markup and emoji codes; control characters are escaped."""

    def __init__(self, stderr: bool) -> None:
        # soft_wrap: paths can be copied from the terminal in one piece. force_jupyter: in a notebook, a message would
        # be a box of HTML, and a progress bar would need ipywidgets.
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True, force_jupyter=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a str before its width is measured, so that columns have the width of the escaped text."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Escape what does not pass through `render_str`, such as a Text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


# One console for messages and progress bars: two would overwrite each other's lines.
console = _PlainConsole(stderr=True)
"""For messages and progress, on stderr."""

results = _PlainConsole(stderr=False)
"""For the results of a command, on stdout, which a user may redirect into a file or a pipe."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        # The mean over the task when it is finished, the current speed before.
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {task.fields['unit']}/s")


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Show a progress bar with count, rate and remaining time.

    Args:
        description: Text before the bar.
        total: Number of items.
        unit: Name of the items in the rate, such as "tracks".

    Yields:
        A function that advances the bar by one item; any thread may call it.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(one_line(description), total=total, unit=unit)
        yield lambda: bar.advance(task)


@contextmanager
def byte_progress(description: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a progress bar in bytes.

    Args:
        description: Text before the bar.
        total: Number of bytes; None if it is unknown, for a bar without remaining time.
        done: Number of bytes that were processed before; they do not count for the rate.

    Yields:
        A function that advances the bar by a number of bytes; any thread may call it.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(one_line(description), total=total, completed=done)
        yield lambda count: bar.advance(task, count)


class _Quiet(AbstractContextManager[None]):
    """A context that many threads may enter: the first one redirects stderr, and the last one restores it."""

    def __init__(self) -> None:
        # A file descriptor belongs to the whole process, so a thread cannot redirect it for itself.
        self._lock, self._inside, self._redirected = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._redirected.enter_context(_c_stderr_discarded())
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._redirected.close()


_QUIET: Final = _Quiet()


def quiet_c_stderr() -> AbstractContextManager[None]:
    """Discard what C libraries print on stderr. Python's own messages on stderr are still printed.

    libmpg123 prints a line for each damaged frame, some hundred lines for FMA small, all of them harmless.

    Returns:
        The context; any thread may enter it.
    """
    return _QUIET


@contextmanager
def _c_stderr_discarded() -> Iterator[None]:
    sys.stderr.flush()
    # C libraries write to file descriptor 2. Python's stderr gets a copy of the original descriptor.
    saved, python_stderr = os.dup(2), sys.stderr
    discard = os.open(os.devnull, os.O_WRONLY)
    try:
        # If it is not, a test or a notebook has replaced it, and it does not write to descriptor 2.
        if python_stderr is sys.__stderr__:
            # The encoding of the original: the default of a new file on Windows lacks most characters, and is strict.
            encoding, errors = sys.stderr.encoding, sys.stderr.errors
            sys.stderr = os.fdopen(os.dup(saved), "w", buffering=1, encoding=encoding, errors=errors)
        os.dup2(discard, 2)
        yield
    finally:
        os.dup2(saved, 2)
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr
        os.close(discard)
        os.close(saved)
