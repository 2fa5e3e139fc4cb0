"""Start a server for a test, in a thread of this process or in another process."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_genre.serve.command import build_server
from lit_genre.serve.limits import Limits
from lit_genre.serve.service import InferenceService
from tests.helpers.runs import ROOT

PATIENCE = 60
"""Time limit of a test, s, long enough for a busy machine."""

HOST = "127.0.0.1"


@contextmanager
def serve(service: InferenceService, folder: Path, limits: Limits | None = None) -> Iterator[int]:
    """Run a server in a thread, and yield its port; `limits` replaces the limits of the service."""
    if limits is not None:
        service = InferenceService(service.model, limits)
    server = build_server(service, HOST, folder)
    with socket.create_server((HOST, 0)) as server_socket:
        port: int = server_socket.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([server_socket],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield port
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serve_in_process(checkpoint: Path, temporary: Path, *program: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a server in another process; yield the process, once it is ready, and its port.

    Args:
        checkpoint: Checkpoint of the model.
        temporary: Folder of the temporary files.
        program: Module to run instead of `lit_genre`, and its first arguments.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    options = ("--port", "0", "--no_browser", "--device", "cpu")
    command = [
        sys.executable,
        "-u",
        "-m",
        *(program or ("lit_genre",)),
        "serve",
        "--ckpt_path",
        str(checkpoint),
        *options,
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
        finally:
            process.kill()


@contextmanager
def connected(port: int, content: bytes = b"") -> Iterator[socket.socket]:
    """Connect, and send some bytes."""
    with socket.create_connection((HOST, port), timeout=PATIENCE) as connection:
        connection.sendall(content)
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    pieces = []
    try:
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def post_header(length: int | None = None, *lines: str) -> bytes:
    """Return the header of a POST request to /classify."""
    announced = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join(["POST /classify HTTP/1.1", f"Host: {HOST}", *announced, *lines, "", ""]).encode()
