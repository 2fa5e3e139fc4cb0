"""Functions that tests run in worker processes, which find them by the name of this module."""

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


def raise_audio_error(reason: str) -> NoReturn:
    raise AudioError(reason)


class FussyError(Exception):
    """Can be pickled but not unpickled: its constructor needs two arguments and stores one."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(f"{reason} {number}")


def raise_fussy_error() -> NoReturn:
    raise FussyError("reason", 5)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def allocate(n_bytes: int) -> int:
    return len(bytearray(n_bytes))


def hang(*_: object) -> NoReturn:
    while True:
        time.sleep(3600)


def hang_with_child(pid_file: Path) -> None:
    """Start another process, as a decoder starts FFmpeg, write its id to a file and never return."""
    with subprocess.Popen(["sleep", "3600"]) as child:
        pid_file.with_suffix(".part").write_text(str(child.pid))
        pid_file.with_suffix(".part").rename(pid_file)
        hang()


def mark_and_hang(source: Path, *_: object) -> NoReturn:
    """Create a file `hanging` next to the source, and never return."""
    source.with_name("hanging").touch()
    hang()
