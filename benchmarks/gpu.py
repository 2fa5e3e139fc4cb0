"""Measure the seven baseline networks on a GPU: seconds of an epoch on data of FMA small's size, and peak memory.

    python benchmarks/gpu.py [--tracks 8000] [--seconds 30] [--epochs 4] [--precisions 32-true bf16-mixed]
    python benchmarks/gpu.py --epochs 0     the front-end alone

The data is noise in FMA small's shape: 80, 10 and 10 % of the tracks for training, validation and test. Training reads
each track once per epoch, from the memory of the GPU. The first epoch, in which libraries warm up, is left out. The
median of the others is printed, validation and checkpoints included, and the sum for 70 epochs of all networks. The
accuracies have no meaning. --folder must be on a disk with 11 GB.
"""

import argparse
import io
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lit_genre import GenreClassifier, trainer
from lit_genre.class_path import import_class
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.decoding.status import COMPLETE
from lit_genre.data.decoding.track_audio import TrackAudio
from lit_genre.data.metadata.track import Split, Track
from lit_genre.data.store import builder as store_builder
from lit_genre.model.spectrogram.frontend import LogMel

NETWORKS = ("CNN1DShallow", "CNN1DDeep", "CNN2DShallow", "CNN2DDeep", "RNN", "CRNN", "CRNNStacked")
GENRES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")
PAPERS_EPOCHS = 70


def decode_noise(path: Path, sample_rate: int, seconds: float, **_: Any) -> TrackAudio:
    """Return the samples of a track, noise seeded by its number, in place of the content of a file."""
    random = np.random.default_rng(int(path.stem))
    samples = random.integers(-8000, 8000, int(seconds * sample_rate), dtype=np.int16)
    return TrackAudio(io.BytesIO(samples.tobytes()), len(samples), COMPLETE)


class NoiseDataModule(TrackDataModule):
    """Noise in the shape of FMA small.

    Args:
        root: Folder for the decoded audio.
        n_tracks: Number of tracks.
        seconds: Length of each, s.
        **options: Those of TrackDataModule.
    """

    cache_name = "noise"
    display_name = "noise"

    def __init__(self, root: Path, n_tracks: int, seconds: float, **options: Any) -> None:
        super().__init__(root, **options)
        self.n_tracks = n_tracks
        # Files of this size would take longer to write than to train on.
        store_builder.decode_track = partial(decode_noise, seconds=seconds)  # type: ignore[assignment]

    def read_tracks(self) -> list[Track]:
        """Return the tracks, and write their files, which are empty."""
        splits: list[Split] = ["train"] * 8 + ["val", "test"]
        tracks = []
        for number in range(1, self.n_tracks + 1):
            # In blocks of ten, so that each genre is in each split.
            genre = GENRES[number // 10 % len(GENRES)]
            tracks.append(Track(number, splits[number % 10], genre, (genre,), f"{number}", -1, "", -1))
            path = self.audio_path(tracks[-1])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"0")
        return tracks

    def audio_path(self, track: Track) -> Path:
        """Return the file of a track."""
        return self.root / "files" / f"{track.track_id:06d}.raw"


def measure(data: NoiseDataModule, network: str, precision: str, epochs: int, folder: Path) -> tuple[float, float]:
    """Train a network for some epochs.

    Returns:
        Median seconds of an epoch after the first, and peak memory, GB.
    """
    model = GenreClassifier.for_data(data, import_class(f"lit_genre.{network}"))
    run = trainer(
        folder, max_epochs=epochs, precision=precision, logger=False, enable_progress_bar=False, num_sanity_val_steps=0
    )
    run.fit(model, data)
    table = pd.read_csv(folder / "metrics.csv")
    return statistics.median(table["seconds"][1:]), float(table["memory_gb"].max())


def measure_frontend(seconds: float, device: str) -> None:
    """Print the milliseconds of both engines of LogMel for 32 clips, the median of 20, and how they differ."""
    waveform = torch.rand(32, round(seconds * 22050), device=device) - 0.5
    spectrograms = []
    for engine in ("nnaudio", "fft"):
        frontend = LogMel(22050, engine=engine).to(device)
        times = []
        for _ in range(23):
            began = time.perf_counter()
            with torch.no_grad():
                spectrogram = frontend(waveform)
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - began))
        spectrograms.append(spectrogram)
        # The first three warm up.
        print(f"front-end {engine}: {statistics.median(times[3:]):.2f} ms for 32 clips of {seconds:g} s", flush=True)
    print(f"largest difference, of a range of 2: {float((spectrograms[0] - spectrograms[1]).abs().max()):.1g}")


def main() -> None:
    """Measure all networks in each precision, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--precisions", nargs="+", default=["32-true", "bf16-mixed"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{device}, torch {torch.__version__}")
    measure_frontend(options.seconds, "cuda" if torch.cuda.is_available() else "cpu")
    if not options.epochs:
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        root = Path(temporary)
        data = NoiseDataModule(
            root,
            options.tracks,
            options.seconds,
            preload="device" if torch.cuda.is_available() else "disk",
            clip_seconds=options.seconds,
            num_workers=0 if device == "CPU" else 4,
        )
        began = time.perf_counter()
        data.prepare_data()
        print(f"{options.tracks:,} tracks of {options.seconds:g} s")
        print(f"store written in {time.perf_counter() - began:.0f} s", flush=True)
        heads = [f"{precision}: s/epoch | GB" for precision in options.precisions]
        rows = ["| | " + " | ".join(heads) + " |", "|---" * (2 * len(heads) + 1) + "|"]
        totals = dict.fromkeys(options.precisions, 0.0)
        for network in NETWORKS:
            cells = []
            for precision in options.precisions:
                seconds, memory = measure(data, network, precision, options.epochs, root / f"{network}-{precision}")
                totals[precision] += PAPERS_EPOCHS * seconds
                cells.append(f"{seconds:.2f} | {memory:.2f}")
            rows.append(f"| {network} | " + " | ".join(cells) + " |")
            print("\n".join(rows), flush=True)
        for precision, total in totals.items():
            print(f"{precision}: {len(NETWORKS)} x {PAPERS_EPOCHS} epochs come to {total / 60:.1f} minutes")


if __name__ == "__main__":
    main()
