import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from lit_genre import load_model
from lit_genre.serve.api import build_api
from lit_genre.serve.hearing import Hearing

Run = Callable[..., None]


@pytest.fixture(scope="module")
def client(trained: Path) -> Iterator[TestClient]:
    hearing = Hearing(load_model(trained), max_bytes=1_000_000, max_seconds=20)
    with TestClient(build_api(hearing, "127.0.0.1"), base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest.fixture(scope="module")
def song(fma: Path) -> bytes:
    return (fma / "fma_small" / "000" / "000001.mp3").read_bytes()


def test_it_answers_as_classify_does(client: TestClient, song: bytes, trained: Path, fma: Path, run: Run) -> None:
    run("classify", trained, fma / "fma_small" / "000" / "000001.mp3", "--output", "one.jsonl", "--over_time")
    answer = client.post("/classify?over_time=true", content=song)
    assert answer.status_code == 200
    expected = json.loads(Path("one.jsonl").read_text())
    del expected["path"]
    assert answer.json() == expected
    assert len(client.post("/classify?top=5", content=song).json()["genres"]) == 5


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 422, "an empty file"),
        (b"kein Lied" * 100, 422, "no audio that can be decoded"),
        (bytes(1_000_001), 413, "larger than 1 MB"),
    ],
)
def test_what_it_cannot_answer_it_explains(client: TestClient, content: bytes, status: int, reason: str) -> None:
    answer = client.post("/classify", content=content)
    assert answer.status_code == status
    assert reason in answer.json()["error"]


def test_too_long_a_song_is_refused(client: TestClient, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.tile(np.arange(-99, 99, dtype=np.int16), 5000), 22050)
    answer = client.post("/classify", content=(tmp_path / "long.flac").read_bytes())
    assert answer.status_code == 422
    assert "longer than 20 s" in answer.json()["error"]


def test_many_at_once_lose_nothing(client: TestClient, song: bytes) -> None:
    bodies = [b"kein Lied" if number % 10 == 3 else song for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.post("/classify", content=body), bodies))
    assert [answer.status_code for answer in answers] == [422 if body == b"kein Lied" else 200 for body in bodies]
    assert len({answer.text for answer in answers if answer.status_code == 200}) == 1


def test_another_name_for_this_machine_is_refused(client: TestClient, song: bytes) -> None:
    assert client.post("/classify", content=song, headers={"Host": "evil.example"}).status_code == 400
