"""Measure unpacking and verifying an archive like FMA's, and compare it with 7-Zip, which verifies no SHA-1.

    python benchmarks/extract.py [--megabytes 200] [--rounds 5] [--folder FOLDER]

Needs `7z`, `7zz` or `7za` (Debian: apt-get install 7zip). The folder should be on the disk that FMA will be on.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha1
from pathlib import Path

import numpy as np
from timing import medians

from lit_genre.prepare.unpack import unpack

CLIP_BYTES = 960_000
"""FMA small has 7.7 GB in 8,000 clips."""
FRAME_BYTES = 836
"""Of an MP3 of 256 kbit/s at 44.1 kHz."""


def clip(generator: np.random.Generator) -> bytes:
    """Return bytes that compress like an MP3: noise, with a few equal bytes before each frame."""
    frames = generator.integers(0, 256, (CLIP_BYTES // FRAME_BYTES, FRAME_BYTES), dtype=np.uint8)
    frames[:, :4] = 0xFF, 0xFB, 0xD0, 0x64
    return frames.tobytes()


def write_archive(path: Path, clips: int) -> int:
    """Write an archive like fma_small.zip; return the size of what is in it."""
    generator = np.random.default_rng(0)
    files = {f"{k // 1000:03d}/{k:06d}.mp3": clip(generator) for k in range(clips)}
    lines = "".join(f"{sha1(content).hexdigest()}  {name}\n" for name, content in files.items())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("fma_small/checksums", lines)
        for name, content in files.items():
            archive.writestr(f"fma_small/{name}", content)
    return sum(map(len, files.values()))


def main() -> None:
    """Print MB/s and the ratio to 7-Zip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    seven_zip = next(filter(None, map(shutil.which, ("7z", "7zz", "7za"))), None)
    if seven_zip is None:
        sys.exit("There is no 7-Zip to compare with: apt-get install 7zip")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        archive, out = folder / "fma_small.zip", folder / "out"
        n_bytes = write_archive(archive, options.megabytes * 1_000_000 // CLIP_BYTES)

        def ours(workers: int) -> None:
            shutil.rmtree(out, ignore_errors=True)
            unpack(archive, out, all_listed=True, workers=workers)

        def theirs(threads: int) -> None:
            shutil.rmtree(out, ignore_errors=True)
            command = [seven_zip, "x", "-y", f"-mmt{threads}", f"-o{out}", str(archive)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        cores = os.cpu_count() or 1
        seconds = medians(
            options.rounds,
            ours=lambda: ours(cores),
            ours_1=lambda: ours(1),
            seven_zip=lambda: theirs(cores),
            seven_zip_1=lambda: theirs(1),
        )
    print(f"{n_bytes / 1e6:.0f} MB, median of {options.rounds} rounds, {cores} cores; _1 is one thread")
    for what, took in seconds.items():
        print(f"{what:<12}{took:7.2f} s{n_bytes / 1e6 / took:8.1f} MB/s")
    print(f"7-Zip takes {seconds['seven_zip'] / seconds['ours']:.2f} times as long as unpack, which verifies SHA-1 too")
    print(f"with one thread each {seconds['seven_zip_1'] / seconds['ours_1']:.2f} times")


if __name__ == "__main__":
    main()
