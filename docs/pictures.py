"""Draw the pictures of README and of the documentation.

    lit-genre demo && lit-genre fit --config crnn --config data/demo && lit-genre test --ckpt_path best
    python docs/pictures.py --data data/demo --ckpt_path best --port 7861

`overview.png` needs a run on the demo, chromium and its driver (selenium); `data_flow.svg` needs nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import soundfile
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lit_genre import FMADataModule, LogMel
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import find_checkpoint

IMAGES = Path(__file__).parent / "images"

STAGES = (
    ("decode", "data/decoding", "PCM (t,)"),
    ("store", "data/store", "PCM on disk"),
    ("load", "data/loading", "clip (n,)"),
    ("batch", "data/datamodules", "waveform (b, n)"),
    ("front-end", "model/spectrogram", "mel (b, m, f)"),
    ("backbone", "backbones", "embedding (b, d)"),
    ("head", "model/network", "logits (b, c)"),
    ("metrics", "model/metrics", "scores of tracks"),
)
"""Stage, its folder or module, and its output."""

N_CPU_STAGES = 4
"""The first stages are on the CPU, the others on the device of the model."""


def main() -> None:
    """Draw both pictures."""
    # The same ids in each SVG, so that an unchanged picture is an unchanged file.
    plt.rcParams["svg.hashsalt"] = "lit-genre"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/demo"))
    parser.add_argument("--ckpt_path", default="best")
    parser.add_argument("--port", type=int, default=7861)
    options = parser.parse_args()
    draw_data_flow(IMAGES / "data_flow.svg")
    checkpoint = find_checkpoint(options.ckpt_path)
    run = RunFolder.of_checkpoint(checkpoint)
    assert run is not None
    data = FMADataModule(options.data, clip_seconds=10)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.png"
        song = Path(folder) / "three songs.flac"
        write_medley([data.audio_path(track) for track in data.tracks[:3]], song)
        screenshot(checkpoint, song, options.port, page)
        draw_overview(data, run, page, IMAGES / "overview.png")


def draw_data_flow(path: Path) -> None:
    """Draw the stages from an audio file to the scores, with the shapes between them."""
    step, width = 2.1, 1.5
    figure, axes = plt.subplots(figsize=(16, 2.6))
    axes.text(-0.7, 0.35, "audio\nfile", ha="center", va="center", size=11)
    for position, (name, where, output) in enumerate(STAGES):
        left = position * step
        colour = "#cfe2f3" if position < N_CPU_STAGES else "#fce5cd"
        axes.add_patch(FancyBboxPatch((left, 0), width, 0.7, boxstyle="round,pad=0.05", fc=colour, ec="0.3"))
        axes.text(left + width / 2, 0.47, name, ha="center", va="center", weight="bold", size=12)
        axes.text(left + width / 2, 0.18, where, ha="center", va="center", size=7.0, color="0.25")
        axes.text(left + width + (step - width) / 2, -0.35, output, ha="center", va="center", size=10, style="italic")
    for position in range(len(STAGES) + 1):
        start = position * step - (step - width) + 0.08
        axes.add_patch(
            FancyArrowPatch((start, 0.35), (start + 0.46, 0.35), arrowstyle="-|>", mutation_scale=12, color="0.3")
        )
    middle = N_CPU_STAGES * step
    axes.text(middle / 2 - 0.3, 1.0, "on the CPU", ha="center", size=11)
    axes.text((middle + len(STAGES) * step) / 2 - 0.3, 1.0, "on the device of the model", ha="center", size=11)
    axes.text(len(STAGES) * step, 0.35, "run folder,\nW&B", ha="left", va="center", size=11)
    axes.set(xlim=(-1.1, len(STAGES) * step + 1.2), ylim=(-0.6, 1.2))
    axes.axis("off")
    figure.savefig(
        path, bbox_inches="tight", facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else {}
    )
    plt.close(figure)


def draw_overview(data: FMADataModule, run: RunFolder, page: Path, path: Path) -> None:
    """Draw a strip: a mel spectrogram of each genre, the curves and the confusion matrix of a run, and the page."""
    figure = plt.figure(figsize=(20, 5.2))
    outer = figure.add_gridspec(1, 4, width_ratios=[1.35, 1.0, 1.4, 0.95], wspace=0.1)
    inner = outer[0].subgridspec(4, 2, hspace=0.42, wspace=0.06)
    frontend = LogMel(data.sample_rate)
    data.prepare_data()
    data.setup()
    for position, genre in enumerate(data.classes):
        track = next(track for track in data.tracks if track.genre_top == genre)
        batch = next(iter(data.whole_tracks(track.split, [track.track_id])))
        with torch.no_grad():
            mel = frontend(batch.waveform[:1].float() / 32768)[0]
        axes = figure.add_subplot(inner[position // 2, position % 2])
        axes.imshow(mel, origin="lower", aspect="auto", cmap="magma")
        axes.set_title(genre, size=11, pad=3)
        axes.set(xticks=[], yticks=[])
    metrics = pd.read_csv(run.metrics)
    curves = outer[1].subgridspec(2, 1, hspace=0.28)
    for position, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(curves[position])
        for split, style in (("train", "-"), ("val", "--")):
            axes.plot(metrics["epoch"] + 1, metrics[f"{split}/{name}"], style, label=split)
        axes.set_title(name, size=12, pad=3)
        axes.legend()
    axes.set_xlabel("epoch")
    show(figure.add_subplot(outer[2]), run.confusion)
    show(figure.add_subplot(outer[3]), page)
    figure.savefig(path, dpi=90, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def write_medley(songs: list[Path], path: Path) -> None:
    """Join songs, so that the genres change over time."""
    samples, rates = zip(*(soundfile.read(song, always_2d=True) for song in songs), strict=True)
    soundfile.write(path, np.concatenate(samples), rates[0])


def show(axes: Axes, picture: Path) -> None:
    """Show a picture without axes."""
    axes.imshow(plt.imread(picture))
    axes.axis("off")


def screenshot(checkpoint: Path, song: Path, port: int, path: Path) -> None:
    """Start `lit-genre serve`, drop a song on its page, and take a picture of it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    command = [sys.executable, "-m", "lit_genre", "serve", "--ckpt_path", str(checkpoint), "--port", str(port)]
    with subprocess.Popen([*command, "--no_browser"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            options = webdriver.ChromeOptions()
            for argument in ("--headless=new", "--no-sandbox", "--window-size=760,1150", "--hide-scrollbars"):
                options.add_argument(argument)
            time.sleep(3)
            browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
            browser.get(url)
            browser.find_element(By.ID, "file").send_keys(str(song.resolve()))
            WebDriverWait(browser, 60).until(lambda page: page.find_element(By.ID, "song").is_displayed())
            time.sleep(2)
            browser.save_screenshot(str(path))
            browser.quit()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
