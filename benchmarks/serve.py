"""Test the web server under load, with one hostile request in ten: lost requests, memory, and files that are left.

    python benchmarks/serve.py CHECKPOINT SONG [--requests 300] [--clients 16]

`lit-genre serve` runs in a process of its own, with an empty folder for temporary files. Hostile requests take turns:
no audio, too large, half sent, from a page of another site, and longer announced than sent. A request is lost if its
answer is not the one that it should get. Memory is the proportional set size of the server and its decoders; the growth
is from the end of the first tenth of the requests to the peak of the others. Linux only.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

MEGABYTES = 20
EXPECTED = {"song": 200, "no audio": 422, "too large": 413, "half sent": 408, "other site": 403, "wrong length": 0}
HOSTILE = [kind for kind in EXPECTED if kind != "song"]
OURS = ("lit-genre-", "pymp-")
"""How the names of the server's temporary folders begin; libraries write files of their own when they are imported."""


def ask(url: str, kind: str, song: bytes) -> tuple[str, int, str, float]:
    """Send one request; return its kind, the status of the answer or 0, its text, and the seconds that it took."""
    started = time.perf_counter()
    if kind in ("half sent", "wrong length"):
        status, text = _ask_by_socket(url, song, waits=kind == "half sent")
    else:
        body = {"no audio": b"no music", "too large": _too_large()}.get(kind, song)
        headers = {"Origin": "http://other.example"} if kind == "other site" else {}
        answer = requests.post(f"{url}classify", data=body, headers=headers, timeout=300)
        status, text = answer.status_code, answer.text
    return kind, status, text, time.perf_counter() - started


def _too_large() -> Iterator[bytes]:
    """Send in chunks, which announce no length, so that the server has to count."""
    yield from (bytes(1_000_000) for _ in range(MEGABYTES + 1))


def _ask_by_socket(url: str, song: bytes, waits: bool) -> tuple[int, str]:
    """Announce more bytes than are sent; then wait for a response, or close the connection."""
    address = urlsplit(url)
    header = f"POST /classify HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {2 * len(song)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=300) as connection:
        connection.sendall(header.encode() + song)
        answer = connection.recv(1 << 16).decode() if waits else ""
    return int(answer.split()[1]) if answer else 0, answer


def memory(pid: int) -> float:
    """Return the proportional set size of a process and its descendants, GB."""
    total = 0
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            children = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
        except OSError:  # It has ended.
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        waiting += [int(child) for line in children for child in line.split()]
    return total / 1e6


def watch(pid: int, readings: list[float], ended: threading.Event) -> None:
    """Read the memory repeatedly."""
    while not ended.wait(0.1):
        readings.append(memory(pid))


@dataclass
class Measurement:
    """Result of a measurement.

    Attributes:
        answers: What `ask` returned, request by request.
        seconds: Time that all requests but the first tenth took.
        base: Memory after the first tenth, GB.
        peak: Greatest memory after it, GB.
        status: Exit status.
        stopping: Time from SIGTERM to the end, s.
        n_left: Files and folders that the server left in the folder for temporary files.
    """

    answers: list[tuple[str, int, str, float]]
    seconds: float = 0.0
    base: float = 0.0
    peak: float = 0.0
    status: int = 0
    stopping: float = 0.0
    n_left: int = 0


def measure(checkpoint: str, song: bytes, kinds: list[str], n_clients: int) -> Measurement:
    """Start a server, send it all requests, and stop it by SIGTERM."""
    program = [
        sys.executable,
        "-u",
        "-m",
        "lit_genre",
        "serve",
        "--ckpt_path",
        checkpoint,
        "--port",
        "0",
        "--no_browser",
    ]
    command = [*program, "--max_megabytes", str(MEGABYTES)]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TMPDIR": folder}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            before = set(Path(folder).rglob("*"))
            try:
                results = send(server.pid, url, song, kinds, n_clients)
            finally:
                started = time.perf_counter()
                server.terminate()
                status = server.wait(60)
        results.status, results.stopping = status, time.perf_counter() - started
        after = set(Path(folder).rglob("*"))
        results.n_left = len({path for path in after if path not in before or path.name.startswith(OURS)})
    return results


def send(pid: int, url: str, song: bytes, kinds: list[str], n_clients: int) -> Measurement:
    """Send all requests, and read the memory meanwhile."""
    readings: list[float] = []
    ended = threading.Event()
    tenth = len(kinds) // 10
    with ThreadPoolExecutor(n_clients) as pool, ThreadPoolExecutor(1) as watcher:
        results = Measurement(list(pool.map(lambda kind: ask(url, kind, song), kinds[:tenth])))
        results.base = memory(pid)
        watcher.submit(watch, pid, readings, ended)
        started = time.perf_counter()
        try:
            results.answers += pool.map(lambda kind: ask(url, kind, song), kinds[tenth:])
        finally:
            ended.set()
        results.seconds = time.perf_counter() - started
    results.peak = max([results.base, *readings])
    return results


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("song", type=Path)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    turns = (HOSTILE[number // 10 % len(HOSTILE)] if number % 10 == 9 else "song" for number in range(options.requests))
    kinds = list(turns)
    results = measure(options.checkpoint, options.song.read_bytes(), kinds, options.clients)
    lost = [(kind, status) for kind, status, _, _ in results.answers if status != EXPECTED[kind]]
    texts = {text for kind, _, text, _ in results.answers if kind == "song"}
    waits = sorted(wait for kind, _, _, wait in results.answers if kind == "song")
    rate = (len(kinds) - len(kinds) // 10) / results.seconds
    growth = results.peak - results.base
    print(f"{len(kinds)} requests of {options.clients} clients: {dict(Counter(kinds))}")
    print(f"requests lost: {len(lost)} {dict(Counter(lost)) or ''}; {len(texts)} different answer(s) about the song")
    print(f"{rate:.1f} a second; songs: median {statistics.median(waits):.2f} s, longest {waits[-1]:.2f} s")
    print(f"memory: {results.base:.2f} GB after the first tenth, peak {results.peak:.2f} GB, growth {growth:.2f} GB")
    print(f"SIGTERM: exit status {results.status} after {results.stopping:.1f} s; files left: {results.n_left}")


if __name__ == "__main__":
    main()
