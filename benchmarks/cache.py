"""What keeping the spectrograms gives on a CPU: seconds an epoch of the seven with and without, and the same losses?

    python benchmarks/cache.py [--clips 256] [--epochs 3]

`lit-genre fit` itself on noise of 30 s in FMA's layout, whole clips, batches of 32, validation on an eighth. The first
epoch, which computes the spectrograms in both, does not count. Both runs of a network have the same seed and the same
clips: what differs is that kept spectrograms are float16, off by at most 0.01 dB.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

CONFIGS = Path(__file__).parents[1] / "configs"
NETWORKS = ("cnn1d_shallow", "cnn1d_deep", "cnn2d_shallow", "cnn2d_deep", "rnn", "crnn", "crnn_stacked")
GENRES = ("Folk", "Pop", "Rock")


def write_data(root: Path, count: int) -> None:
    """Write noise of three colours, a genre each."""
    rows = [",set,set,track,track,artist,artist", ",split,subset,genre_top,title,id,name", "track_id,,,,,,"]
    generator = np.random.default_rng(0)
    (root / "fma_metadata").mkdir(parents=True)
    for number in range(count):
        split = "validation" if number % 8 == 0 else "training"
        rows.append(f"{number},{split},small,{GENRES[number % 3]},T,{number},A")
        path = root / "fma_small" / f"{number:06d}"[:3] / f"{number:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = generator.standard_normal(30 * 22050)
        colour = np.convolve(noise, np.ones(1 + 2 * (number % 3)), "same")
        soundfile.write(path, 0.1 * colour, 22050, format="WAV", subtype="PCM_16")
    (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")


def fit(root: Path, network: str, epochs: int, cached: bool) -> list[dict[str, str]]:
    """Train, and return the epochs' rows."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "lit_genre", "fit", "--config", CONFIGS / f"{network}.yaml", "--data.root", root,
            "--trainer.logger=false", "--trainer.enable_progress_bar=false", f"--trainer.max_epochs={epochs + 1}",
            "--trainer.default_root_dir", folder, f"--data.cache_mel={str(cached).lower()}",
        ]  # fmt: skip
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        with (Path(folder) / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    print("| | s/epoch without | with | ratio | largest difference of a loss |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        write_data(root, options.clips)
        for network in NETWORKS:
            without, cached = (fit(root, network, options.epochs, kept) for kept in (False, True))
            seconds = [statistics.median(float(row["seconds"]) for row in rows[1:]) for rows in (without, cached)]
            losses = [(float(a[key]), float(b[key])) for a, b in zip(without, cached, strict=True)
                      for key in ("train/loss", "val/loss")]  # fmt: skip
            difference = max(abs(a - b) / a for a, b in losses)
            ratio = seconds[1] / seconds[0]
            print(f"| {network} | {seconds[0]:.2f} | {seconds[1]:.2f} | {ratio:.2f} | {difference:.2%} |", flush=True)


if __name__ == "__main__":
    main()
