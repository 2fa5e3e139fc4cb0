"""Kill a training and the build of a store repeatedly, resume them, and compare them with uninterrupted ones.

    python benchmarks/kill.py [--kills 10] [--seed 0] [--epochs 60]

A small CRNN is trained on the demo data set without interruption. A second one is killed by SIGKILL in an epoch, in the
validation, while a checkpoint is written, or at a random time. It is resumed by `lit-genre fit --ckpt_path`, or started
again if there was no checkpoint yet. The weights must be equal bit by bit, and metrics.csv must be equal but for time
and memory. In the same way a store is built without interruption, and killed at random times. Samples and index of each
track must be equal.
"""

import argparse
import os
import tempfile
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile

from lit_genre.demo.write import write_demo
from tests.helpers.kills import Moment, assert_same_run, assert_same_store, build_and_kill, fit, fit_and_kill, warm_up
from tests.helpers.runs import QUIET, SMALL

PAUSES = {"checkpoint": 0.0, "": 0.3, "training": 0.02, "validation": 0.002}
"""Phases to kill a run in, and seconds that it may go on then: two epochs, a phase, or nothing."""
CLIPS, DISTINCT = 1200, 24
RATE = 22050


def kill_run(root: Path, kills: int, epochs: int, random: np.random.Generator) -> None:
    """Compare a run that was killed with an uninterrupted one."""
    write_demo(root / "fma", artists=6, tracks_per_artist=1, seconds=2.0)
    words = (*SMALL, QUIET, f"--data.root={root / 'fma'}", "--data.batch_size=4", f"--trainer.max_epochs={epochs}")
    began = time.perf_counter()
    fit(root / "whole", words)
    seconds = time.perf_counter() - began
    reached = sorted(random.integers(epochs, size=kills))
    moments = [
        Moment(phase, epoch, random.uniform(0, PAUSES[phase]))
        for phase, epoch in zip(cycle(PAUSES), reached, strict=False)
    ]
    found = list(fit_and_kill(root / "killed", words, moments))
    assert_same_run(root / "whole", root / "killed")
    print(f"run of {epochs} epochs: {seconds:.1f} s uninterrupted; equal after {len(found)} kills")
    print("| killed in | rows in metrics.csv | last.ckpt | half a checkpoint |\n|---|---|---|---|")
    for kill in found:
        print(f"| {kill.phase} | {kill.epochs} | {'yes' * kill.resumable} | {'yes' * kill.torn} |")


def kill_store(root: Path, kills: int, random: np.random.Generator) -> None:
    """Compare a store whose build was killed with an uninterrupted one."""
    (root / "clips").mkdir()
    files = {number: root / "clips" / f"{number}.mp3" for number in range(CLIPS)}
    for number, path in files.items():
        if number < DISTINCT:
            time_axis = np.arange((20 + number) * RATE)
            soundfile.write(path, 0.3 * np.sin(time_axis * (0.05 + number / 200)), RATE)
        else:
            os.link(files[number % DISTINCT], path)
    began = time.perf_counter()
    assert not list(build_and_kill(root / "one", files, RATE, []))
    seconds = time.perf_counter() - began
    moments = zip(sorted(random.integers(CLIPS - 100, size=kills)), random.uniform(0, 0.3, kills), strict=True)
    found = list(build_and_kill(root / "many", files, RATE, list(moments)))
    assert_same_store(root / "one", root / "many", list(files))
    print(f"store of {CLIPS} clips: {seconds:.1f} s uninterrupted; equal after {len(found)} kills")
    print(f"tracks in it after each: {', '.join(map(str, found))}")


def main() -> None:
    """Print the state at each kill; an assertion fails if something was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        kill_store(Path(name), options.kills, random)
        kill_run(Path(name), options.kills, options.epochs, random)


if __name__ == "__main__":
    main()
