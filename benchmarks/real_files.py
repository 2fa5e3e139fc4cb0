"""Compare the decoding of a collection of files with that of the program `ffmpeg`.

    python benchmarks/real_files.py FOLDER [FOLDER ...]

Prints each file that ffmpeg decodes and lit-genre refuses, each whose length differs by more than 0.05 s, and each of
which a part is missing; then the counts. Silence, and sound of less than 0.02 s, is refused by design.
"""

import argparse
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.track_audio import MIN_SECONDS, decode_track
from lit_genre.data.metadata.audio_files import find_audio_files

RATE = 22050
TOLERANCE = 0.05


def decode_by_program(path: Path) -> tuple[float, bool]:
    """Return how many seconds ffmpeg decodes, and whether any of it is sound."""
    output = ("-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-protocol_whitelist", "file", "-i", f"file:{path}", *output]
    pcm = subprocess.run(command, capture_output=True, timeout=120, check=False).stdout
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")
    return len(samples) / RATE, bool(samples.any())


def compare(path: Path) -> tuple[str, str]:
    """Return the outcome for a file, and a line about it."""
    expected, is_sound = decode_by_program(path)
    try:
        with decode_track(path, RATE) as audio:
            seconds, status = audio.n_samples / RATE, audio.status
    except AudioError as error:
        if expected == 0:
            return "decoded by neither", ""
        by_design = not is_sound or expected < MIN_SECONDS
        return ("silent or too short" if by_design else "refused"), f"{error}; ffmpeg {expected:.2f} s"
    if abs(seconds - expected) > TOLERANCE:
        return "other length", f"{seconds:.2f} s, ffmpeg {expected:.2f} s; {status.describe(seconds)}"
    return status.kind, status.describe(seconds)


def main() -> None:
    """Print the files that differ, and how many files had each outcome."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    files = find_audio_files(parser.parse_args().folders).files
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor() as pool:
        for path, (outcome, note) in zip(files, pool.map(compare, files), strict=True):
            counts[outcome] += 1
            if outcome not in ("complete", "silent or too short", "decoded by neither"):
                print(f"{outcome}: {path}: {note}")
    print(f"{len(files):,} files: {', '.join(f'{outcome} {count}' for outcome, count in counts.most_common())}")


if __name__ == "__main__":
    main()
