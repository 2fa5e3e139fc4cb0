"""Measure decoding on one core: MP3 and AAC of 30 s, stereo, 256 kbit/s, to mono at 22,050 Hz.

    python benchmarks/decode.py [--clips 20] [--rounds 5]

MP3 is compared with `librosa.load` (target: at least 1.3 times as fast), with libsndfile's bare decoding, which does
not mix or resample (target: at least 0.5 of its speed), and with torchcodec and `torchaudio.load` if they are
installed. AAC in m4a, which FFmpeg's libraries decode in a child process, is compared with a process of the program
`ffmpeg` for each file, if it is installed.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from timing import medians

from lit_genre.data.decoding.track_audio import DECODER, decode, decode_track
from lit_genre.data.store.builder import build_store
from tests.helpers.media import Format, write

RATE = 44100
SECONDS = 30


def write_clips(folder: Path, count: int) -> list[Path]:
    """Write clips of noise and a moving tone, which take as long to decode as dense music."""
    generator = np.random.default_rng(0)
    time = np.arange(SECONDS * RATE) / RATE
    paths = []
    for number in range(count):
        sweep = 0.3 * np.sin(2 * np.pi * (200 + 20 * number + 30 * time) * time)
        clip = sweep[:, None] + 0.1 * generator.standard_normal((len(time), 2))
        paths.append(folder / f"{number}.mp3")
        # libsndfile's scale for constant MP3 bit rates: 0 is 320 kbit/s, 0.25 is 256.
        soundfile.write(paths[-1], clip, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.25)
    return paths


def write_m4a(folder: Path, clips: list[Path]) -> list[Path]:
    """Write the same clips as AAC of 256 kbit/s."""
    kind = Format("ipod", "aac", rate=RATE, kbit=256)
    return [
        write(folder / f"{clip.stem}.m4a", soundfile.read(clip, dtype="float32", always_2d=True)[0], kind)
        for clip in clips
    ]


def by_program(path: Path) -> None:
    """Decode with the program `ffmpeg`."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "22050", "-"]
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


def each(paths: list[Path], call: Callable[[Path], object]) -> None:
    """Call a function for each path, and discard the results, because large results cost time, too."""
    for path in paths:
        call(path)


def others(paths: list[Path]) -> dict[str, Callable[[], object]]:
    """Return functions that decode to mono at 22,050 Hz with other libraries, if they are installed."""
    if importlib.util.find_spec("torchcodec") is None:
        return {}
    import torchaudio
    from torchcodec.decoders import AudioDecoder

    resample = torchaudio.transforms.Resample(RATE, 22050)
    return {
        "torchcodec": lambda: each(
            paths, lambda path: AudioDecoder(path, sample_rate=22050, num_channels=1).get_all_samples()
        ),
        "torchaudio": lambda: each(paths, lambda path: resample(torchaudio.load(path)[0].mean(0))),
    }


def main() -> None:
    """Print clips per second and the two ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_clips(folder, options.clips)
        kbit = np.mean([path.stat().st_size for path in paths]) * 8 / SECONDS / 1000
        m4a = write_m4a(folder, paths)
        stores = iter(range(1000))
        torch.set_num_threads(1)
        seconds = medians(
            options.rounds,
            bare=lambda: each(paths, lambda path: soundfile.read(path, dtype="float32")),
            decode=lambda: each(paths, lambda path: decode(path, 22050)),
            librosa=lambda: each(paths, lambda path: librosa.load(path, sr=22050)),
            **others(paths),
            m4a=lambda: each(m4a, lambda path: decode_track(path, 22050).pcm.close()),
            **({"program": lambda: each(m4a, by_program)} if shutil.which("ffmpeg") else {}),
            store_1=lambda: build_store(folder / f"s{next(stores)}", dict(enumerate(paths)), 22050, workers=1),
            store_all=lambda: build_store(folder / f"s{next(stores)}", dict(enumerate(paths)), 22050),
        )
    print(f"{DECODER}; {options.clips} clips of {kbit:.0f} kbit/s, median of {options.rounds} rounds")
    for what, took in seconds.items():
        print(f"{what:<10}{options.clips / took:7.1f} clips/s{took / options.clips * 1000:8.1f} ms a clip")
    print(f"decode is {seconds['librosa'] / seconds['decode']:.2f} times as fast as librosa.load (asked: 1.3)")
    for name in ("torchcodec", "torchaudio"):
        if name in seconds:
            print(f"decode is {seconds[name] / seconds['decode']:.2f} times as fast as {name}")
    print(f"decode has {seconds['bare'] / seconds['decode']:.2f} of the speed of bare decoding (asked: 0.5)")
    if "program" in seconds:
        print(f"m4a is decoded {seconds['program'] / seconds['m4a']:.2f} times as fast as by a process of ffmpeg each")
    print(f"a store on one core has {seconds['bare'] / seconds['store_1']:.2f} of it, with its writes to disk")
    print(
        f"all {os.cpu_count()} cores fill a store {seconds['store_1'] / seconds['store_all']:.2f} times as fast as one"
    )


if __name__ == "__main__":
    main()
