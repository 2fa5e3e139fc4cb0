"""Run a web server on this machine with a page to try a model, until a signal ends it."""

import argparse
import atexit
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from lit_genre.console import results
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import find_device, load_model
from lit_genre.serve.limits import Limits
from lit_genre.serve.service import InferenceService, start_decoders

if TYPE_CHECKING:
    from lit_genre.serve.server import Server

_EXIT_STATUS: Final = 128 + signal.SIGTERM
"""Exit status of a process that SIGTERM ends, by the convention of shells."""

_EXIT_SECONDS: Final = 5.0
"""Time for the server to stop before the process is ended, s."""


def serve(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        options: Parsed arguments of the command.

    Raises:
        LitGenreError: The port is in use, or the model cannot be loaded.
        SystemExit: The server was ended by a signal.
    """
    limits = build_limits(options.max_megabytes, options.max_seconds)
    # The port first: if it is in use, the user gets the error before the model is loaded. The decoders start while the
    # model is loaded.
    with _unwind_on_signals(), _bind(options.host, options.port) as server_socket, start_decoders(limits) as decoders:
        device = find_device(options.device)
        model = load_model(options.ckpt_path, trust=options.trust, device=device)
        service = InferenceService(model, limits, decoders)
        with _temporary_folder() as folder:
            server = build_server(service, options.host, folder, on_stop=_exit_in_time)
            _announce(options, server_socket.getsockname()[1])
            server.run(sockets=[server_socket])


def build_limits(max_megabytes: float, max_seconds: float) -> Limits:
    """Return the limits of the server, derived from those that a user chooses.

    Args:
        max_megabytes: Size of the largest file, MB.
        max_seconds: Length of the longest recording, s.

    Returns:
        The limits.
    """
    max_bytes = int(max_megabytes * 1e6)
    # Decoders are some hundred times as fast as real time; 20 times leaves room for a slow and busy machine.
    return Limits(max_bytes, max_seconds, max_total_bytes=4 * max_bytes, decode_seconds=30 + max_seconds / 20)


def build_server(
    service: InferenceService, host: str, folder: Path, on_stop: Callable[[], None] = lambda: None
) -> "Server":
    """Build the server of a model.

    Args:
        service: Decodes and predicts the uploads.
        host: Address that the server is bound to.
        folder: Folder of the uploads.
        on_stop: Called when the server begins to stop.

    Returns:
        The server, which is not yet running.
    """
    # Imported here, because fastapi and uvicorn are optional: `run` explains how to install them.
    from lit_genre.serve.api import build_api
    from lit_genre.serve.server import Server
    from lit_genre.serve.uploads import Uploads

    uploads = Uploads(service.limits)

    def stop() -> None:
        uploads.stop()
        service.close()
        on_stop()

    return Server(build_api(service, uploads, host, folder), service.limits, stop)


@contextmanager
def _unwind_on_signals() -> Iterator[None]:
    """Exit all contexts on SIGTERM and SIGHUP, so that temporary files are deleted and workers are stopped."""

    def exit_process(number: int, frame: FrameType | None) -> None:
        sys.exit(_EXIT_STATUS)

    def terminate(number: int, frame: FrameType | None) -> None:
        # As SIGTERM, which uvicorn handles while it runs: it lets the requests in flight end.
        signal.raise_signal(signal.SIGTERM)

    handlers = {signal.SIGTERM: exit_process}
    if hasattr(signal, "SIGHUP"):  # The terminal was closed. Windows has no such signal.
        handlers[signal.SIGHUP] = terminate
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        # At the end of a process, Python searches all objects of PyTorch for cycles, which takes seconds. `freeze`
        # exempts them.
        gc.freeze()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit_in_time() -> None:
    """End the process after `_EXIT_SECONDS` even if the model is still computing, which no thread can interrupt."""

    def exit_process() -> None:
        # `os._exit` skips the exit functions, which delete the temporary files.
        atexit._run_exitfuncs()
        os._exit(_EXIT_STATUS)

    timer = threading.Timer(_EXIT_SECONDS, exit_process)
    timer.daemon = True
    timer.start()


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Create a folder and delete it at the end of the context, or at the latest when the process exits."""
    folder = tempfile.mkdtemp(prefix="lit-genre-")
    # For `_exit_in_time`, which does not exit the contexts.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _announce(options: argparse.Namespace, port: int) -> None:
    """Print the address, and open it in the browser."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{port}/"
    results.print(f"Open {url}\nor:  curl --data-binary @song.mp3 {url}classify\nStop with Ctrl-C.", markup=False)
    if not options.no_browser:
        # After a second: the server starts after this function returns.
        opener = threading.Timer(1, webbrowser.open, [url])
        opener.daemon = True
        opener.start()


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 means any free port."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except socket.gaierror as error:
        raise LitGenreError(f"--host {host} is not an address of this machine: {error.strerror}.") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LitGenreError(f"{host}, port {port} cannot be used: {reason}. Choose another --port.") from error
