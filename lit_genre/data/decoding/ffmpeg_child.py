"""Decode by FFmpeg's libraries, in a process of its own: the other end of `lit_genre.data.decoding.ffmpeg`.

    python -m lit_genre.data.decoding.ffmpeg_child

reads one request a line from stdin, JSON with the arguments of `decode`, `read_metadata` or `measure`, and answers on
stdout: a line of JSON for each message, and after a line with "n_bytes" so many bytes of int16 samples. It ends when
stdin does.
"""

import errno
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
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
"""Decoded before an excerpt: AAC and others need the packets before it."""

_MAX_MEMORY: Final = 2 << 30
"""Bytes that a hostile file may make the decoder allocate."""

_OUTPUT_BYTES: Final = 1 << 16


def decode(
    path: Path, sample_rate: int, start: int = 0, n_samples: int | None = None
) -> Iterator[NDArray[np.int16] | dict[str, Any]]:
    """Decode a file, or a part of it.

    Args:
        path: The file.
        sample_rate: Sample rate of the result, Hz.
        start: First sample, at that rate.
        n_samples: Number of samples; None for all.

    Yields:
        Blocks of samples, shape (t,), int16, full scale 32768; at the end a dict with declared, missing and silenced
        seconds.

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
            # Known now: the first block begins where the seek arrived.
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
        One dict: under "metadata" the texts by name in lower case. Bytes that are not UTF-8 are surrogates.

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
        One dict with "declared_seconds", 0 if it declares none.
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
    except MemoryError:
        _send(output, {"error": "the decoder needed too much memory"})
    except FFmpegError as error:
        _send(output, {"error": f"no audio that can be decoded (FFmpeg: {error.strerror})"})
    except OSError as error:
        if error.errno == errno.EINVAL:
            # A damaged container names a position that no file can have.
            _send(output, {"error": "no audio that can be decoded (FFmpeg: invalid position in the file)"})
        else:
            _send(output, {"errno": error.errno, "strerror": error.strerror})
    except Exception as error:  # What PyAV raises for streams and formats that it does not know.
        _send(output, {"error": f"no audio that can be decoded (PyAV: {type(error).__name__}: {error})"})
    output.flush()


def _send(output: IO[bytes], message: dict[str, Any]) -> None:
    # Surrogates travel escaped.
    output.write(json.dumps(message).encode() + b"\n")


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    # A crash leaves no copy of the memory, which holds a user's file, in the working directory.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _MAX_MEMORY if soft == resource.RLIM_INFINITY else min(_MAX_MEMORY, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    """Answer requests until stdin ends, also in the middle of one: then the other process is gone."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            requests.put(line)
        os._exit(0)

    # Nothing that a library prints comes between the messages.
    output = io.BufferedWriter(io.FileIO(os.dup(1), "w"), _OUTPUT_BYTES)
    os.dup2(2, 1)
    _limit_memory()
    av.logging.set_level(None)
    threading.Thread(target=read, daemon=True).start()
    while True:
        _answer(json.loads(requests.get()), output)


if __name__ == "__main__":
    main()
