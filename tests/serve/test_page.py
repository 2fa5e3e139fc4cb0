"""The page in a real browser: a song, a text file, and nothing from elsewhere."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
pytestmark = pytest.mark.skipif(not (DRIVER and BROWSER), reason="chromium and its driver are not installed")

PATIENCE = 60  # s, on a machine that does much else


@pytest.fixture(scope="module")
def url(trained: Path) -> Iterator[str]:
    """A server on any free port."""
    words = ("serve", trained, "--port", "0", "--no_browser", "--max_megabytes", "2", "--device", "cpu")
    command = [sys.executable, "-u", "-m", "lit_genre", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


def hear(browser: webdriver.Chrome, url: str, song: Path, shown: str) -> None:
    """Open the page, give it a file and wait for something to be shown."""
    browser.get(url)
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, "#song input[type=file]"))
    browser.find_element(By.CSS_SELECTOR, "#song input[type=file]").send_keys(str(song))
    wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, shown))


def test_a_song_gets_bars_and_a_cursor_that_follows_the_player(
    browser: webdriver.Chrome, url: str, trained: Path, fma: Path
) -> None:
    song = fma / "fma_small" / "000" / "000001.mp3"
    genre = requests.post(f"{url}classify", data=song.read_bytes(), timeout=PATIENCE).json()["genre"]
    hear(browser, url, song, ".lg-song")
    lines = browser.find_element(By.ID, "genres").text.splitlines()
    assert lines[1] == genre  # behind the heading
    assert browser.find_element(By.CSS_SELECTOR, ".lg-axis img").size["width"] > 300
    browser.execute_script("document.querySelector('.lg-song audio').currentTime = 1")
    cursor = browser.find_element(By.CSS_SELECTOR, ".lg-cursor")
    WebDriverWait(browser, PATIENCE).until(lambda page: "left: 50" in str(cursor.get_attribute("style")))
    assert "%" in browser.find_element(By.CSS_SELECTOR, ".lg-now").text


def test_text_that_is_called_mp3_gets_a_message(browser: webdriver.Chrome, url: str, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_text("dies ist kein Lied")
    hear(browser, url, text, ".lg-message")
    assert "cannot be classified" in browser.find_element(By.CSS_SELECTOR, ".lg-message").text
    assert not browser.find_elements(By.CSS_SELECTOR, ".lg-song")


def test_an_example_is_ready_to_click(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda page: page.find_elements(By.XPATH, "//button[contains(., 'rock.mp3')]"))[0].click()
    wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, ".lg-song"))


def test_nothing_is_fetched_from_elsewhere(browser: webdriver.Chrome, url: str) -> None:
    browser.get(url)
    WebDriverWait(browser, PATIENCE).until(lambda page: page.find_elements(By.ID, "song"))
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }
    assert any(address.startswith(url) for address in asked)
    assert {address for address in asked if not address.startswith((url, "data:", "blob:", "chrome:"))} == set()
