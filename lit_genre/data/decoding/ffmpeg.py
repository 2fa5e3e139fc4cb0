"""Decode any format by FFmpeg's libraries, in a child process that a hostile file may crash, fill or block.

The libraries come with PyAV; no program needs to be installed.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lit_genre
from lit_genre.data.decoding.errors import AudioError

MAX_SECONDS_SILENT: Final = 60.0
"""A child that sends nothing for so many seconds is killed."""


class Outcome(NamedTuple):
    """What happened when a file was decoded.

    Attributes:
        declared_seconds: Length that the container declares; 0 where it does not, or only guesses.
        gap_seconds: Length of the packets that could not be decoded.
        silenced_seconds: Length of the samples that were not finite.
    """

    declared_seconds: float
    gap_seconds: float
    silenced_seconds: float


class Decoding:
    """A file that is being decoded.

    Iterating yields its samples, shape (t,), full scale 32768.

    Attributes:
        outcome: What happened; after the last block.
    """

    def __init__(self, path: Path, sample_rate: int, start: int = 0, n_samples: int | None = None) -> None:
        self._messages = _ask("decode", path, sample_rate=sample_rate, start=start, n_samples=n_samples)
        self.outcome = Outcome(0.0, 0.0, 0.0)

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        for message in self._messages:
            if isinstance(message, dict):
                self.outcome = Outcome(**message)
            else:
                yield message


def read_metadata(path: Path) -> dict[str, str]:
    """Read the tags of a file: those of its container and of its audio streams.

    Args:
        path: The file.

    Returns:
        The texts by name in lower case. Bytes that are not UTF-8 are surrogates, as `os.fsdecode` returns them.

    Raises:
        AudioError: The file cannot be read.
        OSError: The file cannot be opened.
    """
    (message,) = _ask("read_metadata", path)
    assert isinstance(message, dict)
    metadata: dict[str, str] = message["metadata"]
    return metadata


def declared_seconds(path: Path) -> float:
    """Read the length that the container of a file declares.

    Args:
        path: The file.

    Returns:
        The length, s; 0 if the container declares none, or an estimate only.

    Raises:
        AudioError: The file cannot be read, or has no sound.
        OSError: The file cannot be opened.
    """
    (message,) = _ask("measure", path)
    assert isinstance(message, dict)
    return float(message["declared_seconds"])


class _Child:
    """A process that answers one request after another."""

    def __init__(self) -> None:
        # The package need not be installed; and with -P no av.py of the working directory is imported.
        folder = str(Path(lit_genre.__file__).parent.parent)
        python_path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lit_genre.data.decoding.ffmpeg_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": python_path},
            # Ctrl-C in a terminal reaches this process alone; the child ends when its stdin does.
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.was_killed = False

    def messages(self, request: dict[str, Any]) -> Iterator[dict[str, Any] | NDArray[np.int16]]:
        """Send a request, and yield what is answered until it is done."""
        try:
            self.stdin.write(json.dumps(request).encode() + b"\n")
            self.stdin.flush()
            while "done" not in (message := json.loads(self._read())):
                if "error" in message:
                    raise AudioError(message["error"])
                if "errno" in message:
                    raise OSError(message["errno"], message["strerror"])
                if "n_bytes" in message:
                    yield np.frombuffer(self._read(message["n_bytes"]), dtype=np.int16).copy()
                else:
                    yield message
        except (BrokenPipeError, EOFError) as error:
            happened = f"was stopped after {MAX_SECONDS_SILENT:g} s" if self.was_killed else "crashed"
            raise _GoneError(f"the decoder {happened}") from error

    def _read(self, n_bytes: int | None = None) -> bytes:
        """Read a line, or so many bytes, unless it takes too long."""
        timer = threading.Timer(MAX_SECONDS_SILENT, self.kill)
        timer.start()
        try:
            content = self.stdout.readline() if n_bytes is None else self.stdout.read(n_bytes)
        finally:
            timer.cancel()
        if len(content) < (n_bytes or 1):
            raise EOFError
        return content

    def kill(self) -> None:
        self.was_killed = True
        self.process.kill()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


class _GoneError(AudioError):
    """The child ended before it had answered."""


_idle: list[_Child] = []
_of_other_processes: list[_Child] = []


def _forget_children() -> None:
    """Leave the children to the process that started them."""
    _of_other_processes.extend(_idle)
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_children)


@atexit.register
def _close_children() -> None:
    while _idle:
        _idle.pop().close()


@contextmanager
def _child() -> Iterator[_Child]:
    """Lend an idle child; after an answer that was not read to its end, the child is of no use any more."""
    child = None
    while child is None:
        try:
            child = _idle.pop()
        except IndexError:
            child = _Child()
        if child.process.poll() is not None:
            child.close()
            child = None
    try:
        yield child
    except _GoneError:
        child.close()
        raise
    except (AudioError, OSError):
        _idle.append(child)
        raise
    except BaseException:
        child.close()
        raise
    _idle.append(child)


def _ask(call: str, path: Path, **arguments: Any) -> Iterator[dict[str, Any] | NDArray[np.int16]]:
    # JSON has no bytes, of which a name may be made.
    request = {"call": call, "path": os.fsencode(path.absolute()).decode("latin-1"), **arguments}
    with _child() as child:
        yield from child.messages(request)
