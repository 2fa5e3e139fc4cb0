"""Hostile requests, sent as bytes where a client library would refuse to send them."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from lit_genre import load_model
from lit_genre.serve import service as service_module
from lit_genre.serve.limits import Limits
from lit_genre.serve.service import InferenceService
from tests.helpers.serving.servers import HOST, PATIENCE, connected, post_header, read_all, serve
from tests.helpers.serving.workload import mark_and_hang

LIMITS = Limits(max_bytes=1_000_000, max_seconds=20)
SOON = 0.5
"""A time limit that tests wait for, s."""


@pytest.fixture(scope="module")
def service(trained: Path) -> Iterator[InferenceService]:
    service = InferenceService(load_model(trained), LIMITS)
    yield service
    service.close()


@pytest.fixture(scope="module")
def port(service: InferenceService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serve(service, tmp_path_factory.mktemp("uploads")) as port:
        yield port


@pytest.fixture(scope="module")
def song(fma: Path) -> bytes:
    return (fma / "fma_small" / "000" / "000001.mp3").read_bytes()


def post(port: int, content: bytes, **headers: str) -> requests.Response:
    return requests.post(f"http://{HOST}:{port}/classify", data=content, timeout=PATIENCE, headers=headers)


def exchange(port: int, content: bytes) -> bytes:
    """Send bytes and read until the server closes the connection."""
    with connected(port, content) as connection:
        return read_all(connection)


def error_of(response: bytes) -> str:
    return str(json.loads(response.partition(b"\r\n\r\n")[2])["error"])


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/file=/etc/passwd",
        "/config", "/docs", "/openapi.json", "//etc/passwd", "/../../etc/passwd", "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/examples/..%2f..%2fcommand.py", "/examples/%00", "/command.py", "/page.html", "/classify/",
    ],
)  # fmt: skip
def test_other_addresses_do_not_exist(port: int, path: str) -> None:
    for method in ("GET", "POST"):
        request = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        response = exchange(port, request.encode())
        assert response.split()[1] in (b"404", b"405"), response
        assert error_of(response)


def test_no_file_of_the_server_is_read(port: int, service: InferenceService, tmp_path: Path, song: bytes) -> None:
    secret = tmp_path / "secret.mp3"
    secret.write_bytes(song)
    for path in (str(secret), "/dev/zero"):
        data = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [data], "fn_index": 0, "session_hash": "any"}
        for address in ("classify", f"classify?path={path}", f"classify?url=file://{path}"):
            response = requests.post(f"http://{HOST}:{port}/{address}", json=body, timeout=PATIENCE)
            assert response.status_code == 422
            assert "no audio that can be decoded" in response.json()["error"]
        body_as_list = f"#EXTM3U\n{path}\n".encode()
        assert post(port, body_as_list).status_code == 422


def test_other_names_of_this_machine_are_refused(port: int, song: bytes) -> None:
    assert post(port, song, Host="evil.example").status_code == 400
    assert post(port, song, Host=f"localhost:{port}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{host}"}, 200),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://{host}.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "file://{host}"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(port: int, song: bytes, headers: dict[str, str], status: int) -> None:
    host = f"{HOST}:{port}"
    response = post(port, song, **{name: value.format(host=host) for name, value in headers.items()})
    assert response.status_code == status
    assert ("error" in response.json()) == (status == 403)


@pytest.mark.parametrize("path", ["", "page.js", "examples/rock.mp3", "nothing"])
def test_security_headers_forbid_to_load_anything_else(port: int, path: str) -> None:
    headers = requests.get(f"http://{HOST}:{port}/{path}", timeout=PATIENCE).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


MALFORMED = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
    "long path": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    "long header": post_header(3, "X-Long: " + "a" * 1_000_000),
    "many headers": post_header(3, *(f"X-{number}: {number}" for number in range(20_000))),
    "two lengths": post_header(3, "Content-Length: 4") + b"abcd",
    "negative length": post_header(None, "Content-Length: -1"),
    "long length": post_header(None, "Content-Length: " + "9" * 5000),
    "other coding": post_header(None, "Transfer-Encoding: gzip, chunked"),
    "wrong chunk": post_header(None, "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n",
    "huge chunk": post_header(None, "Transfer-Encoding: chunked") + b"F" * 25 + b"\r\n" + bytes(1000),
    "longer than announced": post_header(3) + b"abcdefgh\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_malformed_http_ends_only_its_own_connection(port: int, request_bytes: bytes, song: bytes) -> None:
    response = exchange(port, request_bytes)
    # A body that is longer than announced gets a response to the announced part, and another to the rest.
    assert re.findall(rb"HTTP/1.1 (\d+)", response)[-1:] in ([b"400"], [b"501"], []), response
    assert post(port, song).status_code == 200


def test_an_incomplete_body_ends_only_its_own_connection(port: int, song: bytes) -> None:
    for length in (1, 1000, 900_000):
        with connected(port, post_header(len(song) + length) + song):
            pass
    assert post(port, song).status_code == 200


def test_announcing_too_much_is_refused_before_it_arrives(port: int) -> None:
    with connected(port, post_header(10**15, "Expect: 100-continue", "Connection: close")) as connection:
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 413")
    assert "larger than 1 MB" in error_of(response)


def test_half_sent_requests_are_closed_and_do_not_block_others(
    service: InferenceService, tmp_path: Path, song: bytes
) -> None:
    limits = replace(LIMITS, header_seconds=SOON, idle_seconds=SOON)
    halves = (b"", b"POST /classify HTTP/1.1\r\nX-Slow: a", post_header(1000) + b"half")
    with serve(service, tmp_path, limits) as port, ExitStack() as stack:
        connections = [stack.enter_context(connected(port, halves[number % 3])) for number in range(500)]
        response = post(port, song)
        assert response.status_code == 200, response.text
        responses = [read_all(connection) for connection in connections]
        # Connections with a half-sent body get a response; those above a limit get it at once.
        assert {response.split()[1] for response in responses if response} <= {b"408", b"503"}
        assert any(response.startswith(b"HTTP/1.1 408") for response in responses)
    assert not list(tmp_path.iterdir())


def test_single_bytes_do_not_extend_the_time_limit(service: InferenceService, tmp_path: Path) -> None:
    limits = replace(LIMITS, header_seconds=SOON, body_seconds=SOON)
    with serve(service, tmp_path, limits) as port:
        for start, drop in ((b"GET / HTTP/1.1\r\nX-Slow: ", b"a"), (post_header(10_000), b"a")):
            with connected(port, start) as connection:
                end = time.monotonic() + PATIENCE
                try:
                    while time.monotonic() < end:
                        connection.sendall(drop)
                        time.sleep(SOON / 10)
                except OSError:
                    pass
                assert time.monotonic() < end


def test_a_second_request_has_no_more_time_than_the_first(service: InferenceService, tmp_path: Path) -> None:
    with serve(service, tmp_path, replace(LIMITS, header_seconds=SOON)) as port:
        request = f"GET /page.css HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        with connected(port, request * 2 + b"GET / HTTP/1.1\r\nX-Slow: a") as connection:
            assert read_all(connection).count(b"HTTP/1.1 200") == 2


def test_a_client_that_does_not_read_is_disconnected(service: InferenceService, tmp_path: Path) -> None:
    # More responses than the buffers of both ends can store.
    requests_sent = f"GET /examples/rock.mp3 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode() * 200
    with serve(service, tmp_path, replace(LIMITS, response_seconds=SOON)) as port:
        with connected(port, requests_sent) as connection:
            time.sleep(6 * SOON)
            responses = read_all(connection)
        assert 0 < responses.count(b"HTTP/1.1 200") < 200


def test_above_the_limit_the_oldest_connection_is_closed(
    service: InferenceService, tmp_path: Path, song: bytes
) -> None:
    limits = replace(LIMITS, max_connections=5, header_seconds=10 * PATIENCE)
    with serve(service, tmp_path, limits) as port, ExitStack() as stack:
        connections = [stack.enter_context(connected(port, b"GET /")) for _ in range(8)]
        assert post(port, song).status_code == 200
        assert [read_all(connection) for connection in connections[:3]] == [b""] * 3


def test_a_decoder_that_hangs_is_stopped(
    service: InferenceService, tmp_path: Path, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(service, tmp_path, replace(LIMITS, decode_seconds=SOON)) as port:
        with monkeypatch.context() as patch:
            patch.setattr(service_module, "decode_to_file", mark_and_hang)
            response = post(port, song)
        assert response.status_code == 422
        assert "the decoder was stopped after 0.5 s" in response.json()["error"]
    with serve(service, tmp_path, LIMITS) as port:
        assert post(port, song).status_code == 200


def test_requests_above_the_limit_are_refused_with_retry_after(
    service: InferenceService, tmp_path: Path, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "decode_to_file", mark_and_hang)
    with ThreadPoolExecutor() as pool, serve(service, tmp_path, replace(LIMITS, max_requests=3)) as port:
        waiting = [pool.submit(post, port, song) for _ in range(3)]
        while len(list(tmp_path.glob("*/upload"))) < 3:
            time.sleep(0.01)
        refused = post(port, song)
        assert refused.status_code == 503
        assert "busy" in refused.json()["error"]
        assert refused.headers["Retry-After"]
        assert requests.get(f"http://{HOST}:{port}/", timeout=PATIENCE).status_code == 200
    # The server has ended, although the decoders hang.
    assert {future.result().status_code for future in waiting} == {503}
    assert not list(tmp_path.iterdir())


def test_a_slow_upload_is_refused_when_others_need_its_slot(
    service: InferenceService, tmp_path: Path, song: bytes
) -> None:
    slow = post_header(900_000) + bytes(100_000)  # enough to take the only slot
    with (
        serve(service, tmp_path, replace(LIMITS, max_requests=1, min_rate=1e9)) as port,
        connected(port, slow) as connection,
    ):
        while post(port, song).status_code != 200:
            time.sleep(0.1)
        assert "too slowly" in error_of(read_all(connection))


def test_the_sum_of_all_uploads_is_limited(service: InferenceService, tmp_path: Path) -> None:
    with serve(service, tmp_path, replace(LIMITS, max_total_bytes=1_500_000)) as port:
        with connected(port, post_header(1_000_000) + bytes(999_999)):
            while sum(path.stat().st_size for path in tmp_path.glob("*/upload")) < 900_000:
                time.sleep(0.01)
            response = post(port, bytes(900_000))
        assert response.status_code == 503
        assert "too many uploads" in response.json()["error"]
