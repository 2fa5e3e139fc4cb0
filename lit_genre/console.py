"""What a person sees of long work: one console, which shows any text as it is, and one kind of progress bar."""

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
    """A console that shows a str as it is: no markup, no emoji codes, and no control character reaches the terminal."""

    def __init__(self) -> None:
        # soft_wrap: paths can be copied from the terminal in one piece.
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a str, before it is measured: columns have the width of what is shown."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render anything; what was no str, such as a Text, passes here too."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


# One console for messages and progress bars: two would overwrite each other's lines.
console = _PlainConsole()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        # The mean over the task when it is finished, the current speed before.
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {task.fields['unit']}/s")


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Show a bar with count, rate and time left; yields the function that moves it on by one."""
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
    """Show a bar in bytes; yields the function that moves it on by so many, from any thread.

    `done` bytes were there before, and do not count for the rate. An unknown total has neither length nor time left.
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
    """Many threads may be inside: the first redirects, the last restores."""

    def __init__(self) -> None:
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
    """Discard what C libraries print on stderr; Python's own stderr still arrives.

    libmpg123 reports each damaged frame there, some hundred lines over FMA small, all harmless.
    """
    return _QUIET


@contextmanager
def _c_stderr_discarded() -> Iterator[None]:
    sys.stderr.flush()
    # File descriptor 2 is what C libraries write to; Python's stderr gets a copy of the original.
    saved, python_stderr = os.dup(2), sys.stderr
    discard = os.open(os.devnull, os.O_WRONLY)
    try:
        if python_stderr is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(saved), "w", buffering=1)
        os.dup2(discard, 2)
        yield
    finally:
        os.dup2(saved, 2)
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr
        os.close(discard)
        os.close(saved)
