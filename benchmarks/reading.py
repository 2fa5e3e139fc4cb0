"""Measure reading random clips: from the store, with numpy from the same file, and from MP3 by a seek.

    python benchmarks/reading.py [--tracks 400] [--rounds 7]

The store has tracks of 30 s of noise (1.3 MB each), and is in the page cache. Batches of 32 random clips of 30 s and of
5 s are read by `ClipDataset`, as in training, and by numpy from a memory map of the same file. Then 5 s at random
places of MP3 files of five minutes are read by a seek, and by decoding the whole file.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from timing import medians

from lit_genre.data.decoding.excerpts import excerpt
from lit_genre.data.decoding.track_audio import decode
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.samplers import RandomClipSampler
from lit_genre.data.store.index import Entry
from lit_genre.data.store.pcm import PCMStore

RATE = 22050
TRACK = 30 * RATE
BATCH = 32


def write_store(folder: Path, n_tracks: int) -> PCMStore:
    """Write noise as a finished store."""
    generator, pcm = np.random.default_rng(0), folder / "pcm-1.int16"
    with pcm.open("wb") as file:
        for _ in range(n_tracks):
            file.write(generator.integers(-9999, 9999, TRACK, dtype=np.int16).data)
    return PCMStore(pcm, {i: Entry(i, 1, i * TRACK, TRACK, 0, "complete", 0.0, 0, 0, 0, "") for i in range(n_tracks)})


def compare(store: PCMStore, seconds: float, rounds: int) -> None:
    """Print GB/s of an epoch of clips of one length, for both ways of reading."""
    ids = list(store.entries)
    dataset = ClipDataset(store, ids, np.zeros(len(ids), dtype=np.int64), int(seconds * RATE))
    clips = list(RandomClipSampler(dataset, seed=0))
    batches = [clips[first : first + BATCH] for first in range(0, len(clips), BATCH)]
    mapped = np.memmap(store.pcm, dtype=np.int16, mode="r")

    def by_numpy() -> None:
        for batch in batches:
            rows = np.empty((len(batch), dataset.clip_samples), dtype=np.int16)
            for row, (position, start) in zip(rows, batch, strict=True):
                begin = position * TRACK + start
                row[:] = mapped[begin : begin + dataset.clip_samples]

    def by_store() -> None:
        for batch in batches:
            dataset.__getitems__(batch)

    took = medians(rounds, store=by_store, numpy=by_numpy)
    n_bytes = 2 * len(clips) * dataset.clip_samples
    speeds = {name: n_bytes / value / 1e9 for name, value in took.items()}
    print(
        f"{seconds:g} s clips: store {speeds['store']:.2f} GB/s ({len(clips) / took['store']:,.0f} clips/s), "
        f"numpy {speeds['numpy']:.2f} GB/s: {speeds['store'] / speeds['numpy']:.2f} of it"
    )


def compare_seek(folder: Path, rounds: int) -> None:
    """Print milliseconds of 5 s from a five-minute MP3, by a seek and by decoding all."""
    path = folder / "track.mp3"
    generator = np.random.default_rng(0)
    noise = 0.2 * generator.standard_normal((300 * 44100, 2))
    soundfile.write(path, noise, 44100, format="MP3", bitrate_mode="CONSTANT", compression_level=0.25)
    starts = generator.integers(0, 295 * RATE, 20).tolist()
    took = medians(
        rounds,
        seek=lambda: [excerpt(path, RATE, start, 5 * RATE) for start in starts],
        whole=lambda: decode(path, RATE),
    )
    seek, whole = 1000 * took["seek"] / len(starts), 1000 * took["whole"]
    print(f"5 s from 300 s of MP3: {seek:.1f} ms by a seek, {whole:.0f} ms by decoding all: {whole / seek:.0f} times")


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tracks", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = write_store(Path(name), options.tracks)
        for seconds in (30, 5):
            compare(store, seconds, options.rounds)
        compare_seek(Path(name), options.rounds)


if __name__ == "__main__":
    main()
