"""Functions that a worker process is given: it finds them by the name of this module."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NoReturn

from lit_genre.data.decoding.errors import AudioError


def square(number: int) -> int:
    return number * number


def process_id() -> int:
    return os.getpid()


def refuse(reason: str) -> NoReturn:
    raise AudioError(reason)


class FussyError(Exception):
    """Can be pickled, but not unpickled: its constructor needs two arguments and hands one on."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(f"{reason} {number}")


def refuse_fussily() -> NoReturn:
    raise FussyError("reason", 5)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def allocate(n_bytes: int) -> int:
    return len(bytearray(n_bytes))


def hang(*_: object) -> NoReturn:
    while True:
        time.sleep(3600)


def hang_with_child(note: Path) -> None:
    """Start another process, as a decoder starts FFmpeg, write down its id and never return."""
    with subprocess.Popen(["sleep", "3600"]) as child:
        note.with_suffix(".part").write_text(str(child.pid))
        note.with_suffix(".part").rename(note)
        hang()


def hang_beside(source: Path, *_: object) -> NoReturn:
    """Leave a sign next to a file, and never return."""
    source.with_name("hanging").touch()
    hang()
