"""Responses to valid requests, and messages for invalid ones."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
import torch

from lit_genre import load_model
from lit_genre.data.decoding.errors import AudioError
from lit_genre.serve.limits import Limits
from lit_genre.serve.page import Page
from lit_genre.serve.service import InferenceService, StoppedError
from lit_genre.serve.timeline import windows_between
from tests.helpers.serving.servers import HOST, PATIENCE, serve

Run = Callable[..., None]


@pytest.fixture(scope="module")
def service(trained: Path) -> Iterator[InferenceService]:
    service = InferenceService(load_model(trained), Limits(max_bytes=1_000_000, max_seconds=20))
    yield service
    service.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def url(service: InferenceService, folder: Path) -> Iterator[str]:
    with serve(service, folder) as port:
        yield f"http://{HOST}:{port}/"


@pytest.fixture(scope="module")
def song(fma: Path) -> bytes:
    return (fma / "fma_small" / "000" / "000001.mp3").read_bytes()


def post(url: str, content: object, **options: object) -> requests.Response:
    return requests.post(f"{url}classify", data=content, timeout=PATIENCE, **options)  # type: ignore[arg-type]


def test_the_result_equals_that_of_classify(url: str, song: bytes, trained: Path, fma: Path, run: Run) -> None:
    run(
        "classify",
        "--ckpt_path",
        trained,
        fma / "fma_small" / "000" / "000001.mp3",
        "--output",
        "one.jsonl",
        "--segments",
    )
    response = post(url, song, params={"segments": "true"})
    assert response.status_code == 200
    expected = json.loads(Path("one.jsonl").read_text())
    del expected["path"]
    assert response.json() == expected
    assert len(post(url, song, params={"top_k": 5}).json()["genres"]) == 5


def test_the_page_gets_a_picture_and_all_windows(url: str, song: bytes) -> None:
    options = {"top_k": 1000, "segments": "true", "timeline": "true", "spectrogram": "true"}
    response = post(url, song, params=options).json()
    assert response["spectrogram"].startswith("data:image/png;base64,iVBOR")
    assert [segment["start"] for segment in response["segments"]] == [0, 1]
    windows = response["timeline"]
    assert [(window["start"], window["end"]) for window in windows] == [(n / 4, 1 + n / 4) for n in range(5)]
    assert [windows[0], windows[4]] == response["segments"]
    assert all(len(window["genres"]) == 8 for window in windows)
    # Windows that overlap differ.
    assert len({str(window["genres"]) for window in windows}) == 5


def test_a_window_of_the_time_line_is_predicted_like_a_clip(
    service: InferenceService, song: bytes, tmp_path: Path
) -> None:
    (tmp_path / "upload").write_bytes(song)
    cancelled, model = threading.Event(), service.model
    with service.decode(tmp_path / "upload", cancelled) as decoded:
        timeline = service.predict_timeline(decoded, service.predict(decoded, cancelled), cancelled)
        samples = np.empty(model.clip_samples, dtype=np.int16)
        decoded.read_clip(model.clip_samples // 4, samples)
    assert timeline.starts[1] == model.clip_samples // 4 / model.sample_rate
    expected, _ = model.predict_with_embedding(torch.from_numpy(samples)[None])
    assert timeline.clip_probs[1].tolist() == pytest.approx(expected[0].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("clips", "windows"), [(1, 1), (2, 5), (30, 117), (40, 118), (60, 119), (61, 61), (2000, 2000)]
)
def test_the_number_of_windows_is_bounded(clips: int, windows: int) -> None:
    starts = np.arange(clips) * 1000
    new = windows_between(starts)
    assert len(starts) + len(new) == windows
    hops = np.diff(np.sort(np.concatenate([starts, new])))
    # Evenly spaced, and none twice.
    assert len(hops) == 0 or hops.max() - hops.min() <= 1


def test_the_spectrogram_shows_a_tone_in_its_band_and_when_it_begins(service: InferenceService, tmp_path: Path) -> None:
    rate, seconds = service.model.sample_rate, 4.0
    time = np.arange(int(rate * seconds)) / rate
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time) * (time > seconds / 2), rate)
    cancelled = threading.Event()
    with service.decode(tmp_path / "tone.wav", cancelled) as decoded:
        picture = service.compute_spectrogram(decoded, cancelled)
    assert picture.min() == 0
    assert picture.max() == 1
    loudest, columns = picture.max(1).argmax(), picture.shape[1]
    # Slaney's scale: 1 kHz is 15 mel, and above it grows by 6.4 to the power of 1/27 a mel. Bands are spaced evenly.
    highest = 15 + 27 * np.log(rate / 2 / 1000) / np.log(6.4)
    assert abs(loudest - (15 / highest * (len(picture) + 1) - 1)) <= 1
    assert picture[loudest, : columns // 2 - 2].max() == 0
    assert picture[loudest, columns // 2 + 2 :].min() > 0.9


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 422, "an empty file"),
        (b"kein Lied" * 100, 422, "no audio that can be decoded"),
        (bytes(1_000_001), 413, "larger than 1 MB"),
        (iter([bytes(600_000)] * 2), 413, "larger than 1 MB"),  # in chunks, so that no length is announced
    ],
)
def test_a_file_that_cannot_be_classified_gets_status_and_reason(
    url: str, content: object, status: int, reason: str
) -> None:
    response = post(url, content)
    assert response.status_code == status
    assert reason in response.json()["error"]


@pytest.mark.parametrize(
    ("parameters", "reason"), [({"top_k": "many"}, "top_k: "), ({"segments": "[<b>]"}, "segments: ")]
)
def test_wrong_parameters_are_named(url: str, song: bytes, parameters: dict[str, str], reason: str) -> None:
    response = post(url, song, params=parameters)
    assert response.status_code == 422
    assert reason in response.json()["error"]
    assert "<b>" not in response.text


def test_a_song_that_is_too_long_is_refused(url: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.tile(np.arange(-99, 99, dtype=np.int16), 5000), 22050)
    response = post(url, (tmp_path / "long.flac").read_bytes())
    assert response.status_code == 422
    assert "longer than 20 s" in response.json()["error"]


def test_a_chunked_body_gets_the_same_result(url: str, song: bytes) -> None:
    whole = post(url, song).json()
    assert post(url, (song[start : start + 999] for start in range(0, len(song), 999))).json() == whole


def test_concurrent_uploads_all_get_results_and_are_deleted(url: str, song: bytes, folder: Path) -> None:
    bodies = [b"kein Lied" if number % 10 == 3 else song for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda body: post(url, body), bodies))
    assert [response.status_code for response in responses] == [422 if body == b"kein Lied" else 200 for body in bodies]
    assert len({response.text for response in responses if response.status_code == 200}) == 1
    assert not list(folder.iterdir())


def test_a_cancelled_request_is_not_computed(service: InferenceService, song: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(song)
    cancelled = threading.Event()
    with service.decode(path, cancelled) as decoded:
        cancelled.set()
        with pytest.raises(StoppedError):
            service.predict(decoded, cancelled)
        with pytest.raises(StoppedError):
            service.compute_spectrogram(decoded, cancelled)
    with pytest.raises(StoppedError), service.decode(path, cancelled):
        pass


def test_the_reason_of_a_decoding_error_is_kept(service: InferenceService, tmp_path: Path) -> None:
    (tmp_path / "upload").touch()
    with pytest.raises(AudioError, match="an empty file"), service.decode(tmp_path / "upload", threading.Event()):
        pass


def test_examples_are_offered_only_for_genres_of_the_model(url: str) -> None:
    response = requests.get(f"{url}examples/hip-hop.mp3", timeout=PATIENCE)
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert post(url, response.content).status_code == 200
    # Equal names only: "rock" of another data set need not mean the same music.
    page = Page("CRNN", ("Rock", "<b>Folk</b>", "blues", "pop"), Limits())
    assert page.find_example("rock.mp3")
    assert page.find_example("folk.mp3") is None
    html = page.index.content.decode()
    assert "rock.mp3" in html
    assert html.count(".mp3") == 1
    assert "<b>" not in html
    assert b"mp3" not in Page("CRNN", ("blues",), Limits()).index.content
