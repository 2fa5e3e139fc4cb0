"""Measure the cache of spectrograms on a CPU: seconds per epoch with and without it, and the change of probabilities.

    python benchmarks/cache.py [--clips 256] [--epochs 3]

Runs `lit-genre fit` on noise of 30 s in FMA's layout: whole clips, batches of 32, validation on an eighth of the clips.
The first epoch, which computes the spectrograms in both cases, is left out. Cached spectrograms are float16, off by at
most 0.01 dB: the last column is the largest difference of a probability when one checkpoint tests an eighth of the
clips in both ways.

Last, it measures what an epoch would cost in addition if the samples of cached clips were read, too, as they would be
if the model looked them up in the cache instead of the data module.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

CONFIGS = Path(__file__).parents[1] / "configs"
NETWORKS = ("cnn1d_shallow", "cnn1d_deep", "cnn2d_shallow", "cnn2d_deep", "rnn", "crnn", "crnn_stacked")
GENRES = ("Folk", "Pop", "Rock")


def write_data(root: Path, count: int) -> None:
    """Write noise in three colours, one for each genre."""
    rows = [",set,set,track,track,artist,artist", ",split,subset,genre_top,title,id,name", "track_id,,,,,,"]
    generator = np.random.default_rng(0)
    (root / "fma_metadata").mkdir(parents=True)
    for number in range(count):
        split = {0: "validation", 1: "test"}.get(number % 8, "training")
        rows.append(f"{number},{split},small,{GENRES[number % 3]},T,{number},A")
        path = root / "fma_small" / f"{number:06d}"[:3] / f"{number:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = generator.standard_normal(30 * 22050)
        colour = np.convolve(noise, np.ones(1 + 2 * (number % 3)), "same")
        soundfile.write(path, 0.1 * colour, 22050, format="WAV", subtype="PCM_16")
    (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")


def lit_genre(*arguments: object) -> None:
    """Run the command."""
    command = [sys.executable, "-m", "lit_genre", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def table(path: Path) -> list[dict[str, str]]:
    """Read a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measure(root: Path, network: str, epochs: int, folder: Path) -> tuple[list[float], float]:
    """Train without and with the cache; return seconds per epoch of both, and the largest difference."""
    common = ("--trainer.logger=false", "--trainer.enable_progress_bar=false")
    seconds, probs = [], []
    for cached in ("false", "true"):
        run = folder / f"{network}-{cached}"
        lit_genre(
            "fit", "--config", CONFIGS / f"{network}.yaml", "--data.root", root, f"--trainer.max_epochs={epochs + 1}",
            "--trainer.default_root_dir", run, f"--data.cache_mel={cached}", *common,
        )  # fmt: skip
        seconds.append(statistics.median(float(row["seconds"]) for row in table(run / "metrics.csv")[1:]))
    checkpoint = folder / f"{network}-false" / "checkpoints" / "last.ckpt"
    for cached in ("false", "true"):
        lit_genre("test", "--ckpt_path", checkpoint, f"--data.cache_mel={cached}", *common)
        rows = table(checkpoint.parents[1] / "test.csv")
        probs.append([float(row[genre]) for row in rows for genre in GENRES])
    return seconds, float(np.abs(np.subtract(*probs)).max())


def seconds_to_read(root: Path, n_epochs: int) -> float:
    """Return the seconds to read the samples of all training clips in batches, median of several epochs."""
    from lit_genre import FMADataModule

    data = FMADataModule(root, num_workers=0)
    data.prepare_data()
    data.setup()
    seconds = []
    for _ in range(n_epochs):
        began = time.perf_counter()
        for _batch in data.train_dataloader():
            pass
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    print("| | s/epoch without | with | ratio | largest difference of a probability |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        write_data(root, options.clips)
        for network in NETWORKS:
            seconds, difference = measure(root, network, options.epochs, Path(name))
            ratio = seconds[1] / seconds[0]
            print(f"| {network} | {seconds[0]:.2f} | {seconds[1]:.2f} | {ratio:.2f} | {difference:.1e} |", flush=True)
        print(f"Reading the samples of an epoch: {seconds_to_read(root, 5):.3f} s")


if __name__ == "__main__":
    main()
