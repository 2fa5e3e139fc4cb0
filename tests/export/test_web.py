"""The exported page in a real browser, without a network: probabilities, messages, keys, and what is requested."""

import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from lit_genre import GenreClassifier, LitGenreError
from lit_genre.backbones.registry import backbones
from lit_genre.data.decoding.pcm import downmix_gains
from lit_genre.data.loading.samplers import window_starts
from lit_genre.data.loading.streaming import SongClips
from lit_genre.demo.synth import GENRES, synthesise
from lit_genre.export.program import model_metadata
from lit_genre.export.to_web import METADATA, MODEL, RUNTIME, describe_use, find_runtime, write_web
from lit_genre.inference.predictor import predict_songs
from tests.helpers.audio import tone

PATIENCE = 60
"""Time limit of a test, s, long enough for a busy machine."""

TOLERANCE = 1e-3
"""Largest difference of a probability from that of `lit-genre classify`, also if the browser resamples."""

HOST = "127.0.0.1"
MARKUP = "<img src=x onerror=document.title='harmed'>"


def test_the_folder_has_page_model_metadata_and_runtime(site: Path, model: GenreClassifier) -> None:
    assert json.loads((site / METADATA).read_text()) == model_metadata(model)
    texts = {path.name: path.read_text() for path in site.iterdir() if path.suffix in (".html", ".js", ".css")}
    named = {
        name for text in texts.values() for name in re.findall(r"[\"'/]([\w-]+\.(?:js|css|json|onnx))[\"'?]", text)
    }
    assert named == {*texts, MODEL, METADATA} - {"index.html"}
    assert all((site / name).is_file() for name in named)


def test_a_runtime_is_found_copied_and_checked(
    model: GenreClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_runtime(None) is None
    dist = Path("node_modules/onnxruntime-web/dist")
    dist.mkdir(parents=True)
    (dist / RUNTIME[0]).write_text("script")
    with pytest.raises(LitGenreError, match=rf"--runtime {dist} does not contain {RUNTIME[1]}. Run `npm install"):
        find_runtime(dist)
    (dist / RUNTIME[1]).write_text("engine")
    assert find_runtime(None) == dist
    write_web(model, Path("my site"), dist)
    assert Path("my site", RUNTIME[0]).read_text() == "script"
    without = " ".join(describe_use(Path("my site"), None))
    assert f"{dist / RUNTIME[1]} 'my site' To open the page: python -m http.server" in without
    assert "npm" not in " ".join(describe_use(Path("my site"), dist))


@pytest.fixture(scope="module")
def model() -> GenreClassifier:
    torch.manual_seed(0)
    model = GenreClassifier(backbones()["CNN1DShallow"].loaded, [*GENRES], clip_seconds=1).eval().requires_grad_(False)
    # The probabilities of random weights are almost equal, which would hide differences.
    model.set_temperature(0.1)
    return model


@pytest.fixture(scope="module")
def site(model: GenreClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page without onnxruntime-web."""
    pytest.importorskip("onnxscript", reason="the packages for ONNX are not installed")
    folder = tmp_path_factory.mktemp("exported") / "site"
    write_web(model, folder, None)
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of onnxruntime-web, fetched into a temporary folder."""
    folder = tmp_path_factory.mktemp("npm")
    if not (npm := shutil.which("npm")):
        pytest.skip("npm is not installed")
    command = [
        npm,
        "install",
        "--prefix",
        str(folder),
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "onnxruntime-web",
    ]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=300)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm cannot fetch onnxruntime-web: {error}")
    return folder / "node_modules" / "onnxruntime-web" / "dist"


@pytest.fixture(scope="module")
def complete(site: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with onnxruntime-web."""
    folder = tmp_path_factory.mktemp("complete") / "site"
    shutil.copytree(site, folder)
    for name in RUNTIME:
        (folder / name).symlink_to(runtime / name)
    return folder


class Handler(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, which records requests."""

    requests: list[str]

    def log_request(self, code: object = "-", size: object = "-") -> None:
        self.requests.append(f"{self.requestline} {int(str(code))}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; yield its address, and the requests so far."""
    requests: list[str] = []
    handler = partial(type("Handler", (Handler,), {"requests": requests}), directory=str(folder))
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}/", requests
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def url(complete: Path) -> Iterator[str]:
    with serve(complete) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    driver_path, browser_path = shutil.which("chromedriver"), shutil.which("chromium")
    if not (driver_path and browser_path):
        pytest.skip("chromium and its driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser_path
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    # No other machine has a name or an address.
    options.add_argument(f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {HOST}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_path))
    driver.set_window_size(1200, 800)
    yield driver
    driver.quit()


def find(browser: webdriver.Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


def wait_for(browser: webdriver.Chrome, condition: Callable[[webdriver.Chrome], bool]) -> None:
    WebDriverWait(browser, PATIENCE).until(condition)


def open_page(browser: webdriver.Chrome, url: str) -> None:
    """Open the page and wait until the model is loaded."""
    browser.get(url)
    wait_for(browser, lambda page: find(page, "status").text.startswith("The most probable genres"))


def choose(browser: webdriver.Chrome, path: Path) -> None:
    """Choose a file and wait until its result or a message is shown."""
    find(browser, "file").send_keys(str(path))
    wait_for(browser, lambda page: not page.find_elements(By.CSS_SELECTOR, "#status.busy"))


def message(browser: webdriver.Chrome) -> str:
    wait_for(browser, lambda page: find(page, "error").is_displayed())
    return find(browser, "error").text


def shown(browser: webdriver.Chrome) -> dict[str, float]:
    """Return the probability of each genre, from the width of its bar."""
    rows = browser.find_elements(By.CSS_SELECTOR, "#genres li")
    widths = [browser.execute_script("return arguments[0].querySelector('.bar div').style.width", row) for row in rows]
    return {
        row.text.partition("\n")[0]: float(width.rstrip("%")) / 100 for row, width in zip(rows, widths, strict=True)
    }


def predict(model: GenreClassifier, path: Path) -> dict[str, float]:
    """Return the probabilities of `lit-genre classify`."""
    clips = SongClips([path], model.sample_rate, model.clip_samples, batch_size=4, workers=1)
    (prediction,) = predict_songs(model, clips, clips.seconds, clips.statuses)
    return dict(zip(model.classes, prediction.probs.tolist(), strict=True))


def rock(seconds: float, rate: int = 22050) -> NDArray[np.float32]:
    """Return a stereo song with noise of all frequencies, shape (t, 2), in some places louder than full scale."""
    song = synthesise("Rock", artist=1, track=1, seconds=seconds, seed=0)
    left = np.interp(np.arange(int(seconds * rate)) / rate, np.arange(len(song)) / 22050, song)
    noise = np.random.default_rng(0).normal(0, 0.1, (len(left), 2))
    return (np.stack([1.5 * left, np.roll(left, 99)], axis=1) + noise).astype(np.float32)


@pytest.mark.browser
@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.3])
def test_probabilities_are_those_of_classify(
    browser: webdriver.Chrome, url: str, model: GenreClassifier, tmp_path: Path, seconds: float
) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, rock(seconds), model.sample_rate, subtype="FLOAT")
    expected = predict(model, song)
    assert max(expected.values()) - min(expected.values()) > 0.2
    open_page(browser, url)
    choose(browser, song)
    assert shown(browser) == pytest.approx(expected, abs=TOLERANCE)
    assert list(shown(browser)) == sorted(expected, key=lambda genre: -expected[genre])
    assert find(browser, "genre").text == max(expected, key=lambda genre: expected[genre])
    assert find(browser, "status").text == f"song.wav, 0:{round(seconds):02}"


@pytest.mark.browser
@pytest.mark.parametrize(("suffix", "rate"), [("wav", 44100), ("flac", 48000), ("mp3", 44100)])
def test_other_rates_and_formats_give_the_same_probabilities(
    browser: webdriver.Chrome, url: str, model: GenreClassifier, tmp_path: Path, suffix: str, rate: int
) -> None:
    song = tmp_path / f"song.{suffix}"
    soundfile.write(song, rock(3.3, rate) / 2, rate)
    open_page(browser, url)
    choose(browser, song)
    assert shown(browser) == pytest.approx(predict(model, song), abs=TOLERANCE)


@pytest.mark.browser
def test_windows_and_downmix_are_those_of_lit_genre(browser: webdriver.Chrome, url: str) -> None:
    open_page(browser, url)
    for samples in (1, 400, 419, 420, 421, 820, 821, 1000, 123_457):
        starts = browser.execute_script("return windowStarts(arguments[0], 400)", samples)
        # Halves are rounded up in JavaScript, and to even numbers in numpy.
        assert np.abs(np.array(starts) - window_starts(samples, 400)).max() <= 1
    gains = browser.execute_script("return GAINS")
    for count in (6, 8):
        names = [f"unnamed {channel}" for channel in range(count)]
        assert gains[str(count)] == pytest.approx(downmix_gains(names).tolist())
    window = browser.execute_script("return [...cutWindow(Float32Array.of(1, 2, 3), 0, 7)]")
    assert window == np.resize([1, 2, 3], 7).tolist()


@pytest.mark.browser
def test_the_sample_rate_of_a_file_is_read(browser: webdriver.Chrome, url: str) -> None:
    open_page(browser, url)
    read_rate = "return readSampleRate(Uint8Array.from(arguments[0]).buffer)"
    for format in ("WAV", "WAVEX", "FLAC", "OGG", "MP3"):
        for rate in (8000, 22050, 44100, 48000):
            file = io.BytesIO()
            soundfile.write(file, tone(440, 0.1, rate), rate, format=format)
            assert browser.execute_script(read_rate, list(file.getvalue())) == rate
    # A tag before an MP3 file, of 3 * 128 + 5 bytes.
    tagged = b"ID3\x04\0\0\0\0\x03\x05" + bytes(389) + file.getvalue()
    assert browser.execute_script(read_rate, list(tagged)) == 48000
    for content in (b"", b"RIFF", b"RIFF" + bytes(40), b"fLaC", b"OggS" + bytes(60), b"\xff\xf1\x50\x80", b"text" * 9):
        assert browser.execute_script(read_rate, list(content)) in (None, 0)


@pytest.mark.browser
@pytest.mark.parametrize("factor", [2, 3])
def test_a_lower_rate_keeps_tones_below_half_of_it_and_no_others(
    browser: webdriver.Chrome, url: str, factor: int
) -> None:
    open_page(browser, url)
    reduce = "return decimate(Float32Array.from(arguments[0]), arguments[1], 48000).then(samples => [...samples])"
    for share, gain in ((0.01, 1), (0.9, 1), (1.0, 0), (1.7, 0)):
        hertz = share * 24000 / factor
        reduced = browser.execute_script(reduce, tone(hertz, 0.2, 48000).tolist(), factor)
        expected = gain * tone(hertz, 0.2, 48000)[::factor]
        inner = slice(300, -300)  # At the ends, the filter covers silence.
        assert np.array(reduced)[inner] == pytest.approx(expected[inner], abs=1e-3)


@pytest.mark.browser
def test_nothing_is_sent_and_nothing_is_blocked(browser: webdriver.Chrome, complete: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", rock(1), 22050)
    with serve(complete) as (url, requests):
        open_page(browser, url)
        names = {path.name for path in complete.iterdir()} - {"index.html"} | {""}
        assert set(requests) == {f"GET /{name} HTTP/1.1 200" for name in names}
        before = len(requests)
        choose(browser, tmp_path / "song.wav")
        assert len(shown(browser)) == 8
        assert len(requests) == before
    # Violations of the Content-Security-Policy would be reported here.
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.browser
def test_a_dropped_file_replaces_the_song_before_it(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", rock(20), 22050)
    open_page(browser, url)
    slow_down = """
        loaded.then(model => {
          const { ask } = model;
          model.ask = samples => new Promise(resolve => setTimeout(resolve, 100)).then(() => ask(samples));
        });
    """
    browser.execute_script(slow_down)
    find(browser, "file").send_keys(str(tmp_path / "long.wav"))
    wait_for(browser, lambda page: find(page, "progress").is_displayed())
    wav = io.BytesIO()
    soundfile.write(wav, tone(440, 1), 22050, format="WAV")
    browser.execute_script(
        """
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([Uint8Array.from(arguments[0])], "dropped.wav"));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        """,
        list(wav.getvalue()),
    )
    wait_for(browser, lambda page: find(page, "status").text == "dropped.wav, 0:01")
    assert not find(browser, "progress").is_displayed()
    time.sleep(0.5)  # In this time, the next window of the first song would show the progress again.
    assert find(browser, "status").text == "dropped.wav, 0:01"


@pytest.mark.browser
def test_unusable_files_get_a_message_until_the_next_song(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    (tmp_path / f"{MARKUP}.mp3").write_text("dies ist kein Lied")
    soundfile.write(tmp_path / "silence.wav", np.zeros(22050), 22050)
    soundfile.write(tmp_path / "click.wav", np.ones(100), 22050)
    soundfile.write(tmp_path / "song.wav", tone(440, 1), 22050)
    open_page(browser, url)
    for name, text in (
        (f"{MARKUP}.mp3", f"{MARKUP}.mp3 cannot be decoded: it is not audio, or damaged,"),
        ("silence.wav", "silence.wav has nothing but silence."),
        ("click.wav", "click.wav has only 0.005 s of sound."),
    ):
        choose(browser, tmp_path / name)
        assert message(browser).startswith(text)
        assert find(browser, "error").get_attribute("role") == "alert"
        assert not shown(browser)
    choose(browser, tmp_path / "song.wav")
    assert len(shown(browser)) == 8
    assert not find(browser, "error").is_displayed()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (METADATA, "model.json is missing or damaged. Export the model again"),
        (MODEL, "model.onnx is missing or cannot be loaded. Export the model again"),
        *((name, f"{name} is missing or cannot be loaded. Two files of the npm package") for name in RUNTIME),
    ],
)
def test_a_missing_file_is_named(
    browser: webdriver.Chrome, complete: Path, tmp_path: Path, name: str, text: str
) -> None:
    shutil.copytree(complete, tmp_path / "site", symlinks=True)
    (tmp_path / "site" / name).unlink()
    with serve(tmp_path / "site") as (url, _):
        browser.get(url)
        assert message(browser).startswith(text)


@pytest.mark.browser
def test_a_page_opened_as_a_file_gets_a_message(browser: webdriver.Chrome, site: Path) -> None:
    browser.get((site / "index.html").as_uri())
    assert message(browser).startswith("Browsers load a model only from a web server.")
    assert "python -m http.server" in message(browser)


@pytest.mark.browser
def test_genres_with_markup_are_shown_as_text(browser: webdriver.Chrome, complete: Path, tmp_path: Path) -> None:
    shutil.copytree(complete, tmp_path / "site", symlinks=True)
    metadata = json.loads((complete / METADATA).read_text())
    labels = [MARKUP, "__proto__", "80", "&amp;", "'", "constructor", "$title ${x}", "</li>"]
    (tmp_path / "site" / METADATA).write_text(json.dumps(metadata | {"labels": labels, "task": "multilabel"}))
    soundfile.write(tmp_path / "song.wav", tone(440, 1), 22050)
    with serve(tmp_path / "site") as (url, _):
        open_page(browser, url)
        choose(browser, tmp_path / "song.wav")
        assert set(shown(browser)) == set(labels)
        assert "CNN1DShallow, 8 genres. A song can have several genres" in find(browser, "model").text
        assert browser.title == "lit-genre: CNN1DShallow"


@pytest.mark.browser
@pytest.mark.parametrize("width", [340, 1280])
def test_the_page_fits_the_window_and_the_tab_key_reaches_the_button(
    browser: webdriver.Chrome, url: str, tmp_path: Path, width: int
) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    soundfile.write(tmp_path / "song.wav", tone(440, 1), 22050)
    open_page(browser, url)
    choose(browser, tmp_path / "song.wav")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.execute_script("document.activeElement.blur()")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("id") == "file"
    label = browser.find_element(By.CSS_SELECTOR, ":focus + label")
    assert label.text == "Choose a file"
    assert label.value_of_css_property("outline-style") == "solid"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_command_writes_a_page_without_a_runtime_and_names_the_commands_to_fetch_it(
    run: Callable[..., None], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dist = tmp_path / "dist"
    with pytest.raises(SystemExit, match=f"--runtime {dist} does not contain {RUNTIME[0]} and {RUNTIME[1]}"):
        run("export", "--ckpt_path", trained, "--format", "web", "--runtime", dist)
    Path("page").mkdir()
    run("export", "--ckpt_path", trained, "--format", "web", "--weights", "float16", "--output", "page")
    names = {path.name for path in Path("page").iterdir()}
    assert names > {MODEL, METADATA, "index.html"}
    assert not names & {*RUNTIME}
    # The console breaks long lines.
    assert "npm install onnxruntime-web" in " ".join(capsys.readouterr().err.split())
