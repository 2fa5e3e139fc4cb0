"""The page in a real browser: results, messages, hostile names, and no requests to other servers."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from lit_genre import load_model
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


def test_a_song_gets_bars_and_a_cursor_that_follows_the_player(browser: webdriver.Chrome, url: str, song: Path) -> None:
    result = requests.post(f"{url}classify?top_k=8", data=song.read_bytes(), timeout=PATIENCE).json()
    choose(browser, url, song)
    assert find(browser, "genre").text == result["genre"]
    rows = browser.find_elements(By.CSS_SELECTOR, "#genres li")
    assert [row.text.split("\n")[0] for row in rows] == list(result["genres"])
    assert find(browser, "spectrogram").size["width"] > 300
    assert browser.execute_script("return document.getElementById('spectrogram').naturalWidth") == 44  # frames in 2 s
    assert len(browser.find_elements(By.CSS_SELECTOR, "#chart polygon")) == 8
    assert {entry.text for entry in browser.find_elements(By.CSS_SELECTOR, "#legend li")} == set(result["genres"])
    browser.execute_script("document.getElementById('player').currentTime = 1")
    wait_for_position(browser, 50)
    assert find(browser, "now").text.startswith("0:01 – 0:02: ")
    browser.execute_script("document.getElementById('player').play()")
    WebDriverWait(browser, PATIENCE).until(lambda page: position(page) > 60)


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


def test_the_chart_shows_the_probabilities_of_each_segment(browser: webdriver.Chrome, url: str, song: Path) -> None:
    result = requests.post(f"{url}classify?top_k=8&segments=true", data=song.read_bytes(), timeout=PATIENCE).json()
    choose(browser, url, song)
    genre = next(iter(result["genres"]))
    shares = [segment["genres"][genre] / sum(segment["genres"].values()) for segment in result["segments"]]
    area = browser.find_elements(By.CSS_SELECTOR, "#chart polygon")[0]
    points = [tuple(map(float, point.split(","))) for point in str(area.get_attribute("points")).split(" ")]
    # The most probable genre lies at the bottom, which is 1 in an SVG: once along it, and back along its upper edge.
    upper = [(2, 1 - shares[1]), (1, 1 - shares[1]), (1, 1 - shares[0]), (0, 1 - shares[0])]
    assert np.array(points) == pytest.approx(np.array([(0, 1), (1, 1), (1, 1), (2, 1), *upper]))


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
    browser.get_log("performance")
    assert "larger than 2 MB" in choose(browser, url, tmp_path / "large.wav", "error").text
    assert not any(address.endswith("/classify") for address in requested(browser))


def test_a_file_that_the_browser_cannot_play_is_still_shown(
    browser: webdriver.Chrome, url: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.aiff", tone(440, 2), 22050)
    choose(browser, url, tmp_path / "song.aiff")
    wait_for(browser, "unplayable")
    assert not find(browser, "player").is_displayed()
    find(browser, "axis").send_keys(Keys.END)
    wait_for_position(browser, 100)


def test_an_example_can_be_classified(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: page.find_elements(By.XPATH, "//button[contains(., 'rock.mp3')]"))[0].click()
    wait_for(browser, "song")
    assert find(browser, "name").text == "rock.mp3"
    assert find(browser, "end").text == "0:12"


def test_the_microphone_is_recorded(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait_for(browser, "record").click()
    WebDriverWait(browser, PATIENCE).until(lambda page: "0:02" in find(page, "record").text)
    find(browser, "record").click()
    wait_for(browser, "song")
    assert find(browser, "name").text == "recording.wav"
    assert find(browser, "player").is_displayed()
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
        names = {entry.get_attribute("textContent") for entry in browser.find_elements(By.CSS_SELECTOR, "#legend li")}
        assert names == set(genres)
        assert not browser.find_elements(By.CSS_SELECTOR, "#examples button")
        assert not browser.find_elements(By.CSS_SELECTOR, "img[src='x'], main script")
        assert browser.title == "lit-genre: CRNN"


def requested(browser: webdriver.Chrome) -> set[str]:
    """Return the addresses that were requested since the last call, without parameters."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = (message["params"] for message in messages if message["method"] == "Network.requestWillBeSent")
    return {parameters["request"]["url"].partition("?")[0] for parameters in sent}


def test_nothing_is_loaded_from_other_servers_and_nothing_is_blocked(
    browser: webdriver.Chrome, url: str, song: Path
) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    choose(browser, url, song)
    wait_for(browser, "player")
    addresses = requested(browser)
    assert f"{url}classify" in addresses
    assert {address for address in addresses if not address.startswith((url, "data:", "blob:", "chrome:"))} == set()
    # A violation of the Content-Security-Policy would be reported here.
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [340, 1200])
def test_the_page_fits_the_window(browser: webdriver.Chrome, url: str, song: Path, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    choose(browser, url, song)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    axis = find(browser, "axis")
    assert axis.location["x"] + axis.size["width"] <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
