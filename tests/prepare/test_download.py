import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import numpy as np
import pytest

from lit_genre.errors import LitGenreError
from lit_genre.prepare import download as module
from lit_genre.prepare.download import ATTEMPTS, download
from tests.helpers.file_server import FileServer, serving

CONTENT = np.random.default_rng(0).bytes(1_000_003)
DIGEST = sha1(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as files:
        yield files


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)


def fetch(server: FileServer, part: Path, n_bytes: int | None = len(CONTENT), timeout: float = 5.0) -> str:
    return download(f"{server.url}/fma_small.zip", part, n_bytes, timeout)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "fma_small.zip.part"


def test_a_whole_file_comes_in_one_request(server: FileServer, part: Path) -> None:
    assert fetch(server, part) == DIGEST
    assert part.read_bytes() == CONTENT
    assert server.asked == [""]


@pytest.mark.parametrize("fault", ["drop", "stall", "nothing", 500, 503, 429])
def test_a_broken_connection_is_resumed(server: FileServer, part: Path, fault: str | int) -> None:
    server.faults = [fault, "drop", fault]
    assert fetch(server, part, timeout=0.2 if fault == "stall" else 5.0) == DIGEST
    assert part.read_bytes() == CONTENT
    # Only the bytes in transit are requested twice.
    begins = [int(asked[6:-1]) for asked in server.asked if asked]
    assert begins == sorted(begins)
    assert begins[-1] >= len(CONTENT) // 2 - 2 * module._CHUNK


def test_another_call_resumes_an_interrupted_download(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT[:300_000])
    assert fetch(server, part) == DIGEST
    assert part.read_bytes() == CONTENT
    assert server.asked == ["bytes=300000-"]


def test_a_complete_part_needs_no_request(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT)
    assert fetch(server, part) == DIGEST
    assert server.asked == []


def test_a_part_that_is_too_long_is_begun_again(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT + b"more")
    assert fetch(server, part) == DIGEST
    assert part.read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_sends_all_again(
    server: FileServer, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = ["drop", "no ranges"]
    assert fetch(server, part) == DIGEST
    assert part.read_bytes() == CONTENT
    assert "cannot send a part" in "".join(capsys.readouterr())


@pytest.mark.parametrize("n_bytes", [len(CONTENT), None])
def test_a_file_that_changed_is_begun_again(
    server: FileServer, part: Path, n_bytes: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = ["drop"] * 2 + ["nothing"] * ATTEMPTS
    with pytest.raises(LitGenreError, match="are kept"):
        fetch(server, part, n_bytes)
    server.content, server.tag = CONTENT[::-1], '"second"'
    assert fetch(server, part, n_bytes) == sha1(CONTENT[::-1]).hexdigest()
    assert server.tags_asked[-1] == '"first"'
    assert "changed on the server" in "".join(capsys.readouterr())


def test_without_a_tag_a_change_of_size_is_seen(server: FileServer, part: Path) -> None:
    server.faults, server.tag = ["drop", "nothing"], ""
    part.write_bytes(CONTENT[:1000])
    server.content = CONTENT[:-1]
    with pytest.raises(LitGenreError, match="has 1,000,002 bytes, but should have 1,000,003"):
        fetch(server, part)
    assert part.stat().st_size == 1000


def test_a_server_that_has_another_file_is_refused_before_it_is_downloaded(server: FileServer, part: Path) -> None:
    with pytest.raises(LitGenreError, match="has 1,000,003 bytes, but should have 5:"):
        fetch(server, part, 5)
    assert part.stat().st_size == 0


def test_a_file_that_is_too_short_is_requested_again_and_then_an_error(server: FileServer, part: Path) -> None:
    server.faults = ["drop"] * 3 + ["nothing"] * ATTEMPTS
    with pytest.raises(LitGenreError, match=f"{ATTEMPTS} attempts without a new byte"):
        fetch(server, part)
    kept = part.stat().st_size
    assert part.read_bytes() == CONTENT[:kept]
    assert kept > len(CONTENT) * 0.8


def test_attempts_are_counted_only_while_nothing_new_comes(server: FileServer, part: Path) -> None:
    server.faults = (["nothing"] * (ATTEMPTS - 1) + ["drop"]) * 3
    assert fetch(server, part) == DIGEST


def test_a_server_that_always_begins_again_is_an_error(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT[:900_000])
    server.faults = ["drop, no ranges"] * 100
    with pytest.raises(LitGenreError, match="attempts without a new byte"):
        fetch(server, part)
    assert len(server.asked) == ATTEMPTS


def test_another_part_than_asked_for_is_not_taken(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    server.faults = ["other part"]
    assert fetch(server, part) == DIGEST
    assert server.asked == ["bytes=1000-", ""]


def test_repeated_errors_of_the_server_are_an_error(server: FileServer, part: Path) -> None:
    server.faults = [500] * 100
    with pytest.raises(LitGenreError, match="answers 500"):
        fetch(server, part)
    assert len(server.asked) == ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server: FileServer, part: Path, status: int) -> None:
    server.faults = [status]
    with pytest.raises(LitGenreError, match=f"answers {status}.*--base_url"):
        fetch(server, part)
    assert len(server.asked) == 1


def test_a_part_that_the_server_has_not_is_begun_again(server: FileServer, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    server.faults = [416]
    assert fetch(server, part) == DIGEST
    assert server.asked == ["bytes=1000-", ""]


def test_an_unknown_size_is_that_of_the_server(server: FileServer, part: Path) -> None:
    server.faults = ["drop"]
    assert fetch(server, part, None) == DIGEST
    # In another call, the server answers that no bytes follow.
    assert fetch(server, part, None) == DIGEST
    assert server.asked[-1] == f"bytes={len(CONTENT)}-"
    server.faults = ["no length"]
    part.unlink()
    assert fetch(server, part, None) == DIGEST


def test_more_than_the_whole_file_is_not_written(server: FileServer, part: Path) -> None:
    server.faults = ["endless"]
    with pytest.raises(LitGenreError, match="sends more than the 1,000,003 bytes"):
        fetch(server, part)
    assert part.stat().st_size <= len(CONTENT)


@pytest.mark.parametrize(
    ("address", "message"),
    [("http://127.0.0.1:1", "refused"), ("ftp://x", "not an address"), ("http://", "not an address")],
)
def test_an_address_without_a_server_is_an_error(part: Path, address: str, message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        download(f"{address}/fma_small.zip", part, None, 1.0)


LAUNCH = """
import sys
from pathlib import Path
from lit_genre.prepare.download import download
print(download(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), 60.0))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_is_resumed(server: FileServer, part: Path, number: int) -> None:
    server.faults = ["stall"]
    arguments = [f"{server.url}/fma_small.zip", str(part), str(len(CONTENT))]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert server.stalling.wait(30)
    while part.stat().st_size < len(CONTENT) // 2 - module._CHUNK:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(10) != 0
    kept = part.stat().st_size
    assert fetch(server, part) == DIGEST
    assert server.asked == ["", f"bytes={kept}-"]


def test_a_full_disk_keeps_the_downloaded_part(server: FileServer, part: Path) -> None:
    # A limit on the size of files stands in for a full disk.
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    script = f"import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{limit}\n{LAUNCH}"
    arguments = [f"{server.url}/fma_small.zip", str(part), str(len(CONTENT))]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert os.strerror(errno.EFBIG) in done.stderr
    assert part.read_bytes() == CONTENT[:300_000]
    assert fetch(server, part) == DIGEST
