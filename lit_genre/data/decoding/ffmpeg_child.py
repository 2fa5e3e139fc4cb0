"""Decode by FFmpeg's libraries in the child process that `lit_genre.data.decoding.ffmpeg` starts.

The command is

    python -m lit_genre.data.decoding.ffmpeg_child

It reads requests from stdin, one a line: JSON with the arguments of `decode`, `read_metadata` or `measure`. It writes
each message to stdout as a line of JSON. After a line with "n_bytes", that many bytes of int16 samples follow. It exits
at the end of stdin.
"""

import errno
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.ffmpeg_sound import FFmpegSound, open_container

_MARGIN_SECONDS: Final = 0.5
"""Length that is also decoded before an excerpt, s: decoders of AAC and others need the packets before it."""

_MAX_MEMORY: Final = 2 << 30
"""Memory that the decoder may allocate, bytes: a hostile file could make it allocate any amount."""

# A pipe of Linux holds as many bytes.
_OUTPUT_BYTES: Final = 1 << 16


def decode(
    path: Path, sample_rate: int, start: int = 0, n_samples: int | None = None
) -> Iterator[NDArray[np.int16] | dict[str, Any]]:
    """Decode a file, or a part of it.

    Args:
        path: The file.
        sample_rate: Sample rate of the result, Hz.
        start: Position of the first sample, at that rate.
        n_samples: Number of samples; None for all.

    Yields:
        Blocks of samples, shape (t,), int16, full scale 32768. The last item is a dict with the values of `Outcome` in
        `lit_genre.data.decoding.ffmpeg`.

    Raises:
        AudioError: Nothing can be decoded.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream:
        sound = FFmpegSound(path, stream)
        with sound.container:
            seconds = max(0.0, start / sample_rate - _MARGIN_SECONDS) if sound.seeks_exactly else 0.0
            blocks = sound.blocks(sample_rate, seconds)
            first = next(blocks, np.empty(0, dtype=np.int16))
            # The position after the seek is only known once the first block is decoded.
            skip = start - round(sound.position * sample_rate) if seconds > 0 else start
            wanted = sys.maxsize if n_samples is None else n_samples
            for block in chain([first], blocks):
                part = block[max(0, skip) :][:wanted]
                skip = max(0, skip - len(block))
                wanted -= len(part)
                if len(part):
                    yield part
                if wanted <= 0:
                    break
            yield {
                "declared_seconds": sound.declared_seconds,
                "gap_seconds": sound.gap_seconds,
                "silenced_seconds": sound.finite.n_replaced / (sound.stream.sample_rate or sample_rate),
            }


def read_metadata(path: Path) -> Iterator[dict[str, Any]]:
    """Read the tags of a file: those of its container and of its audio streams.

    Args:
        path: The file.

    Yields:
        One dict. "metadata" is the text of each tag by its name in lower case; bytes that are not UTF-8 become
        surrogates.

    Raises:
        AudioError: FFmpeg cannot read the file.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream, open_container(path, stream) as container:
        metadata = dict(container.metadata)
        for audio in container.streams.audio:
            metadata |= audio.metadata
        yield {"metadata": {name.casefold(): text for name, text in metadata.items()}}


def measure(path: Path) -> Iterator[dict[str, Any]]:
    """Read the length that the container declares.

    Args:
        path: The file.

    Yields:
        One dict. "declared_seconds" is the length, s; 0 if the container declares none, or an estimate only.

    Raises:
        AudioError: FFmpeg cannot read the file, or it has no audio stream.
        OSError: The file cannot be opened.
    """
    with path.open("rb") as stream:
        sound = FFmpegSound(path, stream)
        with sound.container:
            yield {"declared_seconds": sound.declared_seconds}


_CALLS: Final = {"decode": decode, "read_metadata": read_metadata, "measure": measure}


def _answer(request: dict[str, Any], output: IO[bytes]) -> None:
    call = _CALLS[request.pop("call")]
    path = Path(os.fsdecode(request.pop("path").encode("latin-1")))
    try:
        for message in call(path, **request):  # type: ignore[operator]
            if isinstance(message, dict):
                _send(output, message)
            else:
                _send(output, {"n_bytes": message.nbytes})
                output.write(message.tobytes())
        _send(output, {"done": True})
    except AudioError as error:
        _send(output, {"error": str(error)})
    # PyAV's errors are also subclasses of MemoryError, ValueError or OSError, so the order of these clauses matters.
    except MemoryError:
        _send(output, {"error": "the decoder needed too much memory"})
    except FFmpegError as error:
        _send(output, {"error": f"no audio that can be decoded (FFmpeg: {error.strerror})"})
    except OSError as error:
        if error.errno == errno.EINVAL:
            # A damaged container refers to a position that no file can have.
            _send(output, {"error": "no audio that can be decoded (FFmpeg: invalid position in the file)"})
        else:
            _send(output, {"errno": error.errno, "strerror": error.strerror})
    except Exception as error:  # PyAV raises errors of many types for unknown streams and sample formats.
        _send(output, {"error": f"no audio that can be decoded (PyAV: {type(error).__name__}: {error})"})
    output.flush()


def _send(output: IO[bytes], message: dict[str, Any]) -> None:
    # json escapes all that is not ASCII, and surrogates, which UTF-8 cannot encode, with it.
    output.write(json.dumps(message).encode() + b"\n")


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    # Without core dumps: one would leave a copy of the memory, which contains a user's file, in the working directory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would also count the code of all libraries, which is mapped and not allocated.
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _MAX_MEMORY if soft == resource.RLIM_INFINITY else min(_MAX_MEMORY, soft)
    # macOS refuses this limit: https://github.com/hacksider/Deep-Live-Cam/issues/1848
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    """Process requests until stdin ends. The parent process has then exited, so a request in progress is abandoned."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            requests.put(line)
        # sys.exit would end this thread only.
        os._exit(0)

    # Messages are written to a copy of stdout, and stdout becomes stderr: what a library prints cannot corrupt them.
    output = io.BufferedWriter(io.FileIO(os.dup(1), "w"), _OUTPUT_BYTES)
    os.dup2(2, 1)
    _limit_memory()
    av.logging.set_level(None)
    threading.Thread(target=read, daemon=True).start()
    while True:
        _answer(json.loads(requests.get()), output)


if __name__ == "__main__":
    main()
