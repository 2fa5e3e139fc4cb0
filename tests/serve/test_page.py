"""The page in a real browser: results, messages, hostile names, and no requests to other servers."""

import base64
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile
from numpy.typing import NDArray
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from lit_genre import load_model
from lit_genre.demo.synth import GENRES
from lit_genre.serve.limits import Limits
from lit_genre.serve.service import InferenceService
from tests.helpers.audio import tone
from tests.helpers.serving.servers import HOST, PATIENCE, serve

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = pytest.mark.skipif(not (DRIVER and BROWSER), reason="chromium and its driver are not installed")

MARKUP = "<img src=x onerror=document.title='harmed'>"
MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def service(trained: Path) -> Iterator[InferenceService]:
    service = InferenceService(load_model(trained), Limits(max_bytes=MAX_BYTES))
    yield service
    service.close()


@pytest.fixture(scope="module")
def url(service: InferenceService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(service, tmp_path_factory.mktemp("uploads")) as port:
        yield f"http://{HOST}:{port}/"


@pytest.fixture(scope="module")
def song(fma: Path) -> Path:
    return fma / "fma_small" / "000" / "000001.mp3"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    # A fake microphone that beeps, without a question for permission.
    for argument in ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"):
        options.add_argument(argument)
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    driver.set_window_size(1200, 1000)
    yield driver
    driver.quit()


def find(browser: webdriver.Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


def wait_for(browser: webdriver.Chrome, name: str) -> WebElement:
    """Wait until an element is shown."""
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, name).is_displayed())
    return find(browser, name)


def choose(browser: webdriver.Chrome, url: str, path: Path, shown: str = "song") -> WebElement:
    """Open the page, choose a file and wait until something is shown."""
    browser.get(url)
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, "record").is_displayed())
    find(browser, "file").send_keys(str(path))
    return wait_for(browser, shown)


def position(browser: webdriver.Chrome) -> float:
    """Return the position of the cursor, 0 to 100."""
    return float(browser.execute_script("return parseFloat(document.getElementById('cursor').style.left)"))


def wait_for_position(browser: webdriver.Chrome, expected: float) -> None:
    WebDriverWait(browser, PATIENCE).until(lambda page: abs(position(page) - expected) < 1)


def analyse(url: str, path: Path) -> dict[str, Any]:
    """Return what the server returns to the page, for the eight genres of the model."""
    options = {"top_k": "8", "timeline": "true"}
    response = requests.post(f"{url}classify", data=path.read_bytes(), params=options, timeout=PATIENCE)
    return dict(response.json())


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def points_of(line: WebElement) -> NDArray[np.float64]:
    """Return the corners of a line of the chart: time, s, and level from 1 at the bottom to 0 at the top."""
    corners = str(line.get_attribute("points")).split(" ")
    return np.array([[float(number) for number in corner.split(",")] for corner in corners])


def test_a_song_gets_bars_and_a_cursor_that_follows_the_player(browser: webdriver.Chrome, url: str, song: Path) -> None:
    result = analyse(url, song)
    choose(browser, url, song)
    assert find(browser, "genre").text == result["genre"]
    assert [text.split("\n")[0] for text in texts(browser, "#genres li")] == list(result["genres"])
    assert find(browser, "spectrogram").size["width"] > 300
    assert browser.execute_script("return document.getElementById('spectrogram').naturalWidth") == 44  # frames in 2 s
    browser.execute_script("document.getElementById('player').currentTime = 1")
    wait_for_position(browser, 50)
    # The window around 1 s.
    window = next(window for window in result["timeline"] if (window["start"], window["end"]) == (0.5, 1.5))
    assert find(browser, "now").text == f"0:00 – 0:01: {window['genre']}, {max(window['genres'].values()):.0%}"
    assert find(browser, "time").text == "0:01 / 0:02"
    find(browser, "play").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: position(page) > 60)


def test_there_is_one_player_with_one_button(browser: webdriver.Chrome, url: str, song: Path) -> None:
    choose(browser, url, song)
    (player,) = browser.find_elements(By.CSS_SELECTOR, "audio, video")
    assert player.get_property("controls") is False
    assert texts(browser, "#song button") == ["Play"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#song [role=slider], #song input")) == 1
    find(browser, "play").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, "play").text == "Pause")
    # At the end of the song.
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, "play").text == "Play")
    assert position(browser) > 95


def test_a_click_or_a_key_moves_the_player(browser: webdriver.Chrome, url: str, song: Path) -> None:
    choose(browser, url, song)
    axis = find(browser, "axis")
    ActionChains(browser).move_to_element_with_offset(axis, axis.size["width"] // 4, 0).click().perform()
    wait_for_position(browser, 75)
    player = find(browser, "player")
    WebDriverWait(browser, PATIENCE).until(lambda _: 1.4 < float(str(player.get_property("currentTime"))) < 1.6)
    axis.send_keys(Keys.HOME)
    wait_for_position(browser, 0)
    axis.send_keys(Keys.ARROW_RIGHT)
    wait_for_position(browser, 100)
    axis.send_keys(Keys.PAGE_DOWN)
    wait_for_position(browser, 0)
    axis.send_keys(Keys.SPACE)
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, "play").text == "Pause")
    axis.send_keys(Keys.SPACE)
    WebDriverWait(browser, PATIENCE).until(lambda page: find(page, "play").text == "Play")


def test_the_tab_key_reaches_everything(browser: webdriver.Chrome, url: str, song: Path) -> None:
    choose(browser, url, song)
    browser.execute_script("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focused = browser.switch_to.active_element
        reached.append(focused.get_attribute("id") or focused.text)
        outlined = browser.find_element(By.CSS_SELECTOR, ":focus + label") if reached[-1] == "file" else focused
        assert outlined.value_of_css_property("outline-style") == "solid"
    assert reached == ["file", "record", *GENRES, "play", "axis"]


def test_lines_go_through_the_centres_of_overlapping_windows(browser: webdriver.Chrome, url: str, song: Path) -> None:
    windows = analyse(url, song)["timeline"]
    choose(browser, url, song)
    shown, levels = texts(browser, "#legend li"), texts(browser, "#levels span")
    peaks = {genre: max(window["genres"][genre] for window in windows) for genre in GENRES}
    assert shown == sorted(peaks, key=lambda genre: -peaks[genre])[:5]
    assert levels[2] == "0%"
    top = float(levels[0].rstrip("%")) / 100
    assert peaks[shown[0]] <= top
    # The line of the first genre is drawn last, above the others.
    lines = browser.find_elements(By.CSS_SELECTOR, "#chart polyline")[::-1]
    for genre, line in zip(shown, lines, strict=True):
        corners = points_of(line)
        assert corners[:, 0] == pytest.approx([0.5, 0.75, 1, 1.25, 1.5], abs=1e-3)
        assert (1 - corners[:, 1]) * top == pytest.approx([window["genres"][genre] for window in windows], abs=1e-6)
    rest = max(peak for genre, peak in peaks.items() if genre not in shown)
    assert find(browser, "note").text == (
        "Each point is the prediction for the 1 s of music around it. There is a point every 0.3 s. "
        f"The other 3 genres reach at most {math.ceil(100 * rest)}%."
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_differ_by_colour_and_by_dashes(browser: webdriver.Chrome, url: str, song: Path, scheme: str) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    choose(browser, url, song)
    samples = browser.find_elements(By.CSS_SELECTOR, "#legend .line")
    lines = browser.find_elements(By.CSS_SELECTOR, "#chart polyline")[::-1]
    looks = [
        [(line.value_of_css_property("stroke"), line.value_of_css_property("stroke-dasharray")) for line in drawn]
        for drawn in (samples, lines)
    ]
    assert looks[0] == looks[1]
    colors, dashes = zip(*looks[0], strict=True)
    assert len(set(colors)) == len(set(dashes)) == 5
    card = find(browser, "song").value_of_css_property("background-color")
    assert all(contrast(color, card) >= 3 for color in colors)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours by the Web Content Accessibility Guidelines, 1 to 21."""
    luminances = []
    for color in (first, second):
        channels = np.array([int(number) for number in re.findall(r"\d+", color)[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminances.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(luminances) / min(luminances)


def test_a_long_song_has_minutes_and_seconds_on_its_axis(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.mp3", tone(440, 200), 22050)
    choose(browser, url, tmp_path / "long.mp3")
    assert texts(browser, "#ticks span") == ["0:00", "1:00", "2:00", "3:00"]
    assert find(browser, "time").text == "0:00 / 3:20"
    lefts = [element.rect["x"] for element in browser.find_elements(By.CSS_SELECTOR, "#ticks span")]
    assert (lefts[3] - lefts[0]) / find(browser, "axis").size["width"] == pytest.approx(180 / 200, abs=0.01)


def test_a_song_of_one_window_gets_one_value(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", tone(440, 0.8), 22050)
    choose(browser, url, tmp_path / "short.wav")
    assert find(browser, "note").text.startswith("One window covers the whole song, so there is one prediction.")
    for line in browser.find_elements(By.CSS_SELECTOR, "#chart polyline"):
        (start, left), (end, right) = points_of(line)
        assert (start, end) == (0, 0.8)
        assert left == right


def test_a_dropped_file_is_classified(browser: webdriver.Chrome, url: str, song: Path) -> None:
    content = base64.b64encode(song.read_bytes()).decode()
    browser.get(url)
    wait_for(browser, "record")
    drop = """
        const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "dropped.mp3"));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    """
    browser.execute_script(drop, content)
    wait_for(browser, "song")
    assert find(browser, "name").text == "dropped.mp3"


def test_a_text_file_named_mp3_gets_a_message(browser: webdriver.Chrome, url: str, song: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("dies ist kein Lied")
    message = choose(browser, url, text, "error")
    assert message.get_attribute("role") == "alert"
    assert "cannot be classified: no audio" in message.text
    assert not find(browser, "song").is_displayed()
    # Choosing a song removes the message.
    find(browser, "file").send_keys(str(song))
    wait_for(browser, "song")
    assert not message.is_displayed()


def test_a_file_that_is_too_large_is_not_sent(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    (tmp_path / "large.wav").write_bytes(bytes(MAX_BYTES + 1))
    read_log(browser, "performance")
    assert "larger than 2 MB" in choose(browser, url, tmp_path / "large.wav", "error").text
    assert not any(address.endswith("/classify") for address in requested(browser))


def test_a_file_that_the_browser_cannot_play_is_still_shown(
    browser: webdriver.Chrome, url: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.aiff", tone(440, 2), 22050)
    choose(browser, url, tmp_path / "song.aiff")
    wait_for(browser, "unplayable")
    assert not find(browser, "play").is_displayed()
    find(browser, "axis").send_keys(Keys.END)
    wait_for_position(browser, 100)


def test_an_example_can_be_classified(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: page.find_elements(By.XPATH, "//button[contains(., 'Rock')]"))[0].click()
    wait_for(browser, "song")
    assert find(browser, "name").text == "rock.mp3"
    assert find(browser, "time").text == "0:00 / 0:12"


def test_the_microphone_is_recorded(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait_for(browser, "record").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: "0:02" in find(page, "record").text)
    find(browser, "record").click()
    wait_for(browser, "song")
    assert find(browser, "name").text == "recording.wav"
    assert find(browser, "play").is_displayed()
    assert find(browser, "record").text == "Record"


def test_names_with_markup_are_shown_as_text(
    browser: webdriver.Chrome, service: InferenceService, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file's name cannot have a slash.
    hostile = tmp_path / f"{MARKUP}.mp3"
    shutil.copy(song, hostile)
    genres = (MARKUP, '"><script>document.title="harmed"</script>', "$title ${x}", "__proto__", "&amp;", "5", "'", "\\")
    monkeypatch.setattr(service.model, "classes", genres)
    with serve(service, tmp_path, service.limits) as port:
        choose(browser, f"http://{HOST}:{port}/", hostile)
        assert find(browser, "name").text == hostile.name
        assert find(browser, "genre").text in genres
        assert {text.partition("\n")[0] for text in texts(browser, "#genres li")} == set(genres)
        assert set(texts(browser, "#legend li")) < set(genres)
        assert not browser.find_elements(By.CSS_SELECTOR, "#examples button")
        assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x'], main script")
        assert browser.title == "lit-genre: CRNN"


def read_log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """Return the entries of a log since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def requested(browser: webdriver.Chrome) -> set[str]:
    """Return the addresses that were requested since the last call, without parameters."""
    messages = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    sent = (message["params"] for message in messages if message["method"] == "Network.requestWillBeSent")
    return {parameters["request"]["url"].partition("?")[0] for parameters in sent}


def test_nothing_is_loaded_from_other_servers_and_nothing_is_blocked(
    browser: webdriver.Chrome, url: str, song: Path
) -> None:
    read_log(browser, "performance")
    read_log(browser, "browser")
    choose(browser, url, song)
    addresses = requested(browser)
    assert f"{url}classify" in addresses
    assert {address for address in addresses if not address.startswith((url, "data:", "blob:", "chrome:"))} == set()
    # A violation of the Content-Security-Policy would be reported here.
    assert read_log(browser, "browser") == []


@pytest.mark.parametrize("width", [340, 390, 1280])
def test_the_page_fits_the_window(browser: webdriver.Chrome, url: str, song: Path, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    choose(browser, url, song)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for element in browser.find_elements(By.CSS_SELECTOR, "#axis, #ticks span, #levels span, #legend li, button"):
        assert 0 <= element.rect["x"] < element.rect["x"] + element.rect["width"] <= width
    # No label of an axis is broken into lines.
    heights = {element.rect["height"] for element in browser.find_elements(By.CSS_SELECTOR, "#ticks span")}
    assert max(heights) < 30
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
