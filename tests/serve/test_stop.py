"""A signal stops the server, whatever it is doing, and it leaves neither processes nor temporary files."""

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lit_genre.__main__ import main
from tests.helpers.processes import descendants, wait_until_gone
from tests.helpers.serving.servers import HOST, PATIENCE, connected, post_header, read_all, serve_in_process

PREFIXES = ("lit-genre-", "pymp-")
"""Prefixes of the server's temporary folders; libraries create other files when they are imported."""


def wait_for(temporary: Path, pattern: str, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(list(temporary.glob(pattern))) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_during_uploads_stops_the_server_and_leaves_nothing(
    trained: Path, fma: Path, tmp_path: Path, number: int, status: int
) -> None:
    song = (fma / "fma_small" / "000" / "000001.mp3").read_bytes()
    with serve_in_process(trained, tmp_path) as (process, port), ExitStack() as stack:
        before = {path for path in tmp_path.iterdir() if not path.name.startswith(PREFIXES)}
        with connected(port, post_header(len(song), "Connection: close") + song) as connection:
            assert read_all(connection).startswith(b"HTTP/1.1 200")
        uploads = [stack.enter_context(connected(port, post_header(10**6) + bytes(500_000))) for _ in range(5)]
        stack.enter_context(connected(port, b"POST /classify HTTP/1.1\r\nX-Half"))
        wait_for(tmp_path, "lit-genre-*/*/upload", 5)
        others = descendants(process.pid)
        process.send_signal(number)
        responses = [read_all(connection) for connection in uploads]
        assert process.wait(PATIENCE) == status
    assert all(response.startswith(b"HTTP/1.1 503") for response in responses)
    assert all(b"the server is stopping" in response for response in responses)
    assert set(tmp_path.iterdir()) == before
    assert len(others) >= 2
    wait_until_gone(*others)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_hanging_decoder_does_not_delay_the_stop(trained: Path, tmp_path: Path, number: int) -> None:
    stuck = ("tests.helpers.serving.stuck_server", "decoder")
    with serve_in_process(trained, tmp_path, *stuck) as (process, port), ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(port, post_header(4) + b"song"))
        wait_for(tmp_path, "lit-genre-*/*/hanging", min(3, os.cpu_count() or 1))
        others = descendants(process.pid)
        process.send_signal(number)
        process.wait(PATIENCE)
    # Even after SIGKILL, no other process continues.
    assert len(others) >= 3
    wait_until_gone(*others)
    if number != signal.SIGKILL:
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(PREFIXES)]


def test_a_slow_model_does_not_delay_the_stop(trained: Path, fma: Path, tmp_path: Path) -> None:
    song = (fma / "fma_small" / "000" / "000001.mp3").read_bytes()
    stuck = ("tests.helpers.serving.stuck_server", "model")
    with serve_in_process(trained, tmp_path, *stuck) as (process, port), ExitStack() as stack:
        stack.enter_context(connected(port, post_header(len(song)) + song))
        wait_for(tmp_path, "lit-genre-*/*/samples", 1)
        process.terminate()
        assert process.wait(PATIENCE) == 143
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(PREFIXES)]


def test_a_port_in_use_is_reported_without_a_traceback(trained: Path) -> None:
    with socket.create_server((HOST, 0)) as server_socket, pytest.raises(SystemExit) as raised:
        main(["serve", "--ckpt_path", str(trained), "--port", str(server_socket.getsockname()[1]), "--no_browser"])
    assert "cannot be used: Address already in use. Choose another --port." in str(raised.value)
