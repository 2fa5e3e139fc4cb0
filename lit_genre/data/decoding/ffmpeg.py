"""Decode any format by FFmpeg's libraries in a child process, because a hostile file may crash, fill or block it.

The libraries come with PyAV; no program needs to be installed.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import lit_genre
from lit_genre.data.decoding.errors import AudioError

MAX_SECONDS_SILENT: Final = 60.0
"""A child that sends no data for this long is killed, s."""


class Outcome(NamedTuple):
    """Declared length of a decoded file, and the length of its damaged parts.

    Attributes:
        declared_seconds: Length that the container declares, s; 0 if it declares none, or an estimate only.
        gap_seconds: Length of the packets that could not be decoded, s.
        silenced_seconds: Length of the samples that were not finite and were replaced by silence, s.
    """

    declared_seconds: float
    gap_seconds: float
    silenced_seconds: float


class Decoding:
    """Decodes a file, or a part of it, while it is iterated over.

    Iterating yields blocks of mono samples, shape (t,), int16, full scale 32768. It raises AudioError if nothing can be
    decoded, and OSError if the file cannot be opened.

    Args:
        path: The file.
        sample_rate: Sample rate of the result, Hz.
        start: Position of the first sample, at that rate.
        n_samples: Number of samples; None for all.

    Attributes:
        outcome: Declared length and damage; valid after the last block.
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
        Text of each tag by its name in lower case. Bytes that are not UTF-8 become surrogates, as in `os.fsdecode`.

    Raises:
        AudioError: The file cannot be read.
        OSError: The file cannot be opened.
    """
    (message,) = _ask("read_metadata", path)
    assert isinstance(message, dict)
    metadata: dict[str, str] = message["metadata"]
    return metadata


def declared_seconds(path: Path) -> float:
    """Read the length that the container of a file declares, without decoding.

    Args:
        path: The file.

    Returns:
        The length, s; 0 if the container declares none, or an estimate only.

    Raises:
        AudioError: The file cannot be read, or has no audio stream.
        OSError: The file cannot be opened.
    """
    (message,) = _ask("measure", path)
    assert isinstance(message, dict)
    return float(message["declared_seconds"])


class _Child:
    """A child process that decodes one file after another, because starting one for each file would be slow."""

    def __init__(self) -> None:
        # The path is set because the package need not be installed. -P keeps the working directory out of sys.path, so
        # that an av.py in a folder of music is never run.
        folder = str(Path(lit_genre.__file__).parent.parent)
        python_path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lit_genre.data.decoding.ffmpeg_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Libraries print messages for damaged files, which the caller reports as an AudioError.
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": python_path},
            # Ctrl-C in a terminal then reaches only this process; the child exits when its stdin is closed.
            start_new_session=True,
            # The same on Windows, which ignores the option above.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.was_killed = False

    def messages(self, request: dict[str, Any]) -> Iterator[dict[str, Any] | NDArray[np.int16]]:
        """Send a request, and yield the messages and samples of the response until it is complete."""
        try:
            self._send(request)
            while "done" not in (message := json.loads(self._read())):
                if "error" in message:
                    raise AudioError(message["error"])
                if "errno" in message:
                    raise OSError(message["errno"], message["strerror"])
                # Copied because an array made from bytes is read-only.
                if "n_bytes" in message:
                    yield np.frombuffer(self._read(message["n_bytes"]), dtype=np.int16).copy()
                else:
                    yield message
        except (BrokenPipeError, EOFError) as error:
            happened = f"was stopped after {MAX_SECONDS_SILENT:g} s" if self.was_killed else "crashed"
            raise _GoneError(f"the decoder {happened}") from error

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self.stdin.write(json.dumps(request).encode() + b"\n")
            self.stdin.flush()
        except OSError as error:
            # On Windows, writing to a child that has exited is an invalid argument.
            raise BrokenPipeError from error

    def _read(self, n_bytes: int | None = None) -> bytes:
        """Read a line, or a number of bytes; kill the child if that takes too long."""
        # Pipes have no timeout that works on every system. Once the child is killed, the read returns.
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
        # It writes what is still buffered, for which there is no reader.
        with suppress(OSError):
            self.stdin.close()
        self.stdout.close()


class _GoneError(AudioError):
    """Raised if the child exits before its response is complete."""


# Append and pop of a list are atomic, so threads need no lock.
_idle: list[_Child] = []
_of_other_processes: list[_Child] = []


def _forget_children() -> None:
    """Stop using the children in a forked process: two processes must not read from the same pipe."""
    # The references are kept, because Popen warns when an object of a running process is collected.
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
    """Provide an idle child in the context; kill it afterwards if its response was not read completely."""
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
    # An error message ends a response, so the child can be used again.
    except (AudioError, OSError):
        _idle.append(child)
        raise
    # The rest of the response is still in the pipe, and the next request would read it.
    except BaseException:
        child.close()
        raise
    _idle.append(child)


def _ask(call: str, path: Path, **arguments: Any) -> Iterator[dict[str, Any] | NDArray[np.int16]]:
    # A file name may be any bytes, which JSON cannot contain; Latin-1 maps each byte to a character. The path is made
    # absolute because the child keeps the working directory in which it was started.
    request = {"call": call, "path": os.fsencode(path.absolute()).decode("latin-1"), **arguments}
    with _child() as child:
        yield from child.messages(request)
