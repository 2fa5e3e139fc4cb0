"""Write one table of ratios: training against a bare loop, decoding against other libraries, embedding, and inference.

    lit-genre demo --root data/demo
    python benchmarks/throughput.py [--rounds 5] > throughput.md

Each row is a line that another benchmark prints, with the command that repeats it. Run it on a machine that does
nothing else; it takes about ten minutes on two cores. Decoding is compared with torchcodec if it is installed.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

RATIO = re.compile(r"ratio \d|times as fast|of the speed of|of one after the other|times real time")
"""What the lines with a ratio have in common."""


def commands(rounds: int, checkpoint: Path) -> list[list[str]]:
    """Return the arguments of each benchmark."""
    epochs = [["epoch.py", f"--clip_seconds={seconds}", f"--rounds={rounds}"] for seconds in (2, 4, 6)]
    return [
        *epochs,
        ["overhead.py", f"--rounds={rounds}"],
        ["decode.py", f"--rounds={rounds}"],
        ["musicnn_speed.py", f"--repeats={rounds}"],
        ["classify.py", str(checkpoint), "--songs=20", "--hours=0.2"],
        ["startup.py", f"--rounds={rounds}"],
        ["onnx_speed.py", f"--rounds={rounds}", "--weights=float32"],
    ]


def train(folder: Path) -> Path:
    """Train a network for an epoch on the demo, and return its checkpoint."""
    words = ["fit", "--config", "cnn1d_shallow", "--config", "data/demo", "--trainer.max_epochs=1"]
    command = [sys.executable, "-m", "lit_genre", *words, f"--trainer.default_root_dir={folder}"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "checkpoints" / "best.ckpt"


def main() -> None:
    """Run the benchmarks one after the other, and print their ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each measurement, of which the median counts")
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {device}"
    print(f"{machine}; torch {torch.__version__}\n")
    print("| result | command |\n|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for words in commands(options.rounds, train(Path(temporary, "run"))):
            script = Path(__file__).with_name(words[0])
            done = subprocess.run([sys.executable, script, *words[1:]], capture_output=True, text=True)
            shown = " ".join(words).replace(temporary, "RUN")
            for line in done.stdout.splitlines():
                if RATIO.search(line):
                    print(f"| {line.strip()} | `{shown}` |", flush=True)
            if done.returncode:
                print(f"| failed: {done.stderr.strip().splitlines()[-1]} | `{shown}` |", flush=True)


if __name__ == "__main__":
    main()
