"""Measure the time and the peak memory of `lit-genre classify` on a folder and on a long recording.

    python benchmarks/classify.py CHECKPOINT [--songs 40] [--minutes 3] [--hours 2]

The files are MP3 at 44.1 kHz, stereo, made of demo tracks; one in ten is no audio. The long recording is FLAC. For
comparison, decoding and the network are also measured one after the other in one thread. Memory is the peak of a
process of `lit-genre classify`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from lit_genre.data.decoding.track_audio import decode_track
from lit_genre.data.loading.streaming import SongClips
from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import GENRES, synthesise
from lit_genre.inference.load import load_model
from lit_genre.inference.predictor import default_batch_size, predict_songs

PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_song(path: Path, seconds: float, seed: int) -> None:
    """Write a demo song, repeated to a length."""
    piece = synthesise(GENRES[seed % len(GENRES)], seed, seed, 20, seed=0)
    stereo = soxr.resample(np.stack([piece, piece], axis=1), SAMPLE_RATE, 44_100)
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        for _ in range(round(seconds / 20)):
            file.write(stereo)


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--songs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--hours", type=float, default=2)
    options = parser.parse_args()
    model = load_model(options.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:03}.mp3" for number in range(options.songs)]
        for number, path in enumerate(files):
            if number % 10 == 9:
                path.write_bytes(os.urandom(50_000))
            elif number < len(GENRES):
                write_song(path, 60 * options.minutes, number)
            else:
                shutil.copy(files[number % len(GENRES)], path)
        clips = SongClips(files, model.sample_rate, model.clip_samples, default_batch_size(model), os.cpu_count() or 1)
        first = SongClips(files[:1], model.sample_rate, model.clip_samples, 4, 1)
        list(predict_songs(model, first, first.seconds, first.statuses))  # once, to warm up

        began = time.perf_counter()
        answers = list(predict_songs(model, clips, clips.seconds, clips.statuses))
        together = time.perf_counter() - began
        seconds = sum(answer.seconds for answer in answers)
        print(f"{len(answers)} songs, {len(clips.failures)} unreadable, {seconds / 60:.0f} min of music")
        print(f"classified: {together:.2f} s, {seconds / together:,.0f} times real time")

        began = time.perf_counter()
        for path in files:
            if files.index(path) % 10 != 9:
                decode_track(path, model.sample_rate).pcm.close()
        decoding = time.perf_counter() - began
        n_clips = sum(len(answer.starts) for answer in answers)
        batch = torch.from_numpy(
            np.random.default_rng(0).integers(
                -9999, 9999, (default_batch_size(model), model.clip_samples), dtype=np.int16
            )
        )
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(n_clips // len(batch)):
                model.predict_with_embedding(batch)
        network = time.perf_counter() - began
        print(f"decoding alone, one thread: {decoding:.2f} s; network alone, all threads: {network:.2f} s")
        print(f"together {together / (decoding + network):.2f} of one after the other")

        long = Path(folder) / "long.flac"  # which is written ten times as fast
        write_song(long, 3600 * options.hours, 0)
        began = time.perf_counter()
        command = [sys.executable, "-m", "lit_genre", "classify", "--ckpt_path", options.checkpoint, str(long)]
        # A process begins with the peak of the one that started it, so a small one must.
        done = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
        took, peak = time.perf_counter() - began, int(done.stdout) / 1e6
        print(f"{options.hours:g} hours in one file: {took:.1f} s, peak {peak:.2f} GB (asked: 1 GB)")


if __name__ == "__main__":
    main()
