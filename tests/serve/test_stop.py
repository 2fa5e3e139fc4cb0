"""The server ends when it is told to, whatever it is doing, and leaves no temporary file."""

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lit_genre.__main__ import main
from tests.helpers.serving.servers import HOST, PATIENCE, connected, post_header, read_all, serve_elsewhere

OURS = ("lit-genre-", "pymp-")
"""How the names of the server's temporary folders begin; libraries leave files of their own when they are imported."""


def wait_for(temporary: Path, pattern: str, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(list(temporary.glob(pattern))) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def descendants(process_id: int) -> set[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listing.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, waiting = set[int](), [process_id]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.update(new)
        waiting += new
    return found


def wait_until_gone(process_ids: set[int]) -> None:
    end = time.monotonic() + PATIENCE
    while living := {process_id for process_id in process_ids if Path(f"/proc/{process_id}/cmdline").exists()}:
        # A process that has ended may wait for ever for its parent, where that is no init.
        living = {process_id for process_id in living if Path(f"/proc/{process_id}/cmdline").read_bytes()}
        if not living:
            return
        assert time.monotonic() < end, living
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 1), (signal.SIGHUP, 143)])
def test_a_signal_amid_uploads_ends_it_and_leaves_nothing(
    trained: Path, fma: Path, tmp_path: Path, number: int, status: int
) -> None:
    song = (fma / "fma_small" / "000" / "000001.mp3").read_bytes()
    with serve_elsewhere(trained, tmp_path) as (process, port), ExitStack() as stack:
        before = {path for path in tmp_path.iterdir() if not path.name.startswith(OURS)}
        with connected(port, post_header(len(song), "Connection: close") + song) as connection:
            assert read_all(connection).startswith(b"HTTP/1.1 200")
        uploads = [stack.enter_context(connected(port, post_header(10**6) + bytes(500_000))) for _ in range(5)]
        stack.enter_context(connected(port, b"POST /classify HTTP/1.1\r\nX-Half"))
        wait_for(tmp_path, "lit-genre-*/*/upload", 5)
        others = descendants(process.pid)
        process.send_signal(number)
        answers = [read_all(connection) for connection in uploads]
        assert process.wait(PATIENCE) == status
    assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
    assert all(b"the server is stopping" in answer for answer in answers)
    assert set(tmp_path.iterdir()) == before
    assert len(others) >= 2
    wait_until_gone(others)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_decoder_that_hangs_delays_nothing(trained: Path, tmp_path: Path, number: int) -> None:
    stuck = ("tests.helpers.serving.stuck_server", "decoder")
    with serve_elsewhere(trained, tmp_path, *stuck) as (process, port), ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(port, post_header(4) + b"song"))
        wait_for(tmp_path, "lit-genre-*/*/hanging", min(3, os.cpu_count() or 1))
        others = descendants(process.pid)
        process.send_signal(number)
        process.wait(PATIENCE)
    # However the server ended: no process is left behind.
    assert len(others) >= 3
    wait_until_gone(others)
    if number != signal.SIGKILL:
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(OURS)]


def test_a_model_that_computes_for_long_delays_nothing(trained: Path, fma: Path, tmp_path: Path) -> None:
    song = (fma / "fma_small" / "000" / "000001.mp3").read_bytes()
    stuck = ("tests.helpers.serving.stuck_server", "model")
    with serve_elsewhere(trained, tmp_path, *stuck) as (process, port), ExitStack() as stack:
        stack.enter_context(connected(port, post_header(len(song)) + song))
        wait_for(tmp_path, "lit-genre-*/*/samples", 1)
        process.terminate()
        assert process.wait(PATIENCE) == 143
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(OURS)]


def test_a_port_that_is_taken_is_reported_without_a_traceback(trained: Path) -> None:
    with socket.create_server((HOST, 0)) as listener, pytest.raises(SystemExit) as raised:
        main(["serve", str(trained), "--port", str(listener.getsockname()[1]), "--no_browser"])
    assert "cannot be used: Address already in use. Choose another --port." in str(raised.value)
