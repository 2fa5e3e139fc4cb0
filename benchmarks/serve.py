"""Does the server lose anything, or grow, under load?

    python benchmarks/serve.py CHECKPOINT SONG [--requests 200] [--clients 8]

`lit-genre serve` in a process of its own; one request in ten is text in the place of music. Memory is that of the
server behind the first tenth of the requests and behind the last.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests


def memory(pid: int) -> float:
    """Resident memory of a process, GB; Linux."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e6


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("song", type=Path)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    song = options.song.read_bytes()
    bodies = [b"no music" if number % 10 == 9 else song for number in range(options.requests)]
    command = [sys.executable, "-u", "-m", "lit_genre", "serve", options.checkpoint, "--port", "0", "--no_browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]

        def ask(body: bytes) -> tuple[int, str, float]:
            began = time.perf_counter()
            answer = requests.post(f"{url}classify", data=body, timeout=300)
            return answer.status_code, answer.text, time.perf_counter() - began

        try:
            with ThreadPoolExecutor(options.clients) as pool:
                tenth = options.requests // 10
                answers = list(pool.map(ask, bodies[:tenth]))
                before = memory(server.pid)
                began = time.perf_counter()
                answers += pool.map(ask, bodies[tenth:])
                took = time.perf_counter() - began
            after = memory(server.pid)
        finally:
            server.terminate()
    right = sum((status == 422) == (body == b"no music") for (status, _, _), body in zip(answers, bodies, strict=True))
    texts = {text for status, text, _ in answers if status == 200}
    waits = sorted(wait for _, _, wait in answers)
    print(f"{options.requests} requests of {options.clients} clients: {dict(Counter(answer[0] for answer in answers))}")
    print(f"{right} answered as they should, {len(texts)} different answer(s) about the one song")
    rate, longest = (options.requests - tenth) / took, waits[-1]
    print(f"{rate:.1f} a second; median {statistics.median(waits):.2f} s, longest {longest:.2f} s")
    print(f"memory of the server: {before:.2f} GB behind the first tenth, {after:.2f} GB at the end")


if __name__ == "__main__":
    main()
