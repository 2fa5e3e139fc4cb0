"""Time of MusiCNN's embedding of a clip against the textbook order of its operations, and the peak memory of each.

    python benchmarks/musicnn_speed.py

The plugin takes the maximum over bands before ReLU and batch normalisation, and orders the axes as the convolution is
fast. The textbook order is that of the paper: convolution, ReLU, batch normalisation, maximum. Both have the same
weights and the same input, ten patches of 3 s, and take turns. Memory is the highest resident size of a process that
embeds a batch of six patches, as `lit-genre probe` does on a CPU.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from lit_genre_musicnn import MusiCNN, _Filters, _pad
from torch import Tensor

PATCHES = 10
"""Patches of a clip of 30 s."""


def textbook(self: _Filters, image: Tensor) -> Tensor:
    """Compute the maxima in the order of the paper."""
    maps: Tensor = self.norm(self.conv(_pad(image, self.conv.kernel_size[1])).relu())
    return maps.amax(2)


FORWARDS = {"textbook": textbook, "plugin": _Filters.forward}


def embed(name: str, backbone: MusiCNN, mel: Tensor) -> Tensor:
    """Compute embeddings with one of the orders."""
    _Filters.forward = FORWARDS[name]  # type: ignore[method-assign]
    with torch.inference_mode():
        return backbone(mel)


def memory(name: str) -> float:
    """Return the peak memory of a process that embeds a batch, GB."""
    code = f"from musicnn_speed import *; print_memory({name!r})"
    output = subprocess.run([sys.executable, "-c", code], cwd=sys.path[0], check=True, capture_output=True, text=True)
    return float(output.stdout)


def print_memory(name: str) -> None:
    """Embed a batch of six patches, and print the peak memory, GB."""
    embed(name, MusiCNN((96, 188)).eval(), torch.rand(6, 96, 188))
    # Not getrusage: its maximum includes the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9)


def main() -> None:
    """Print seconds, ratio, difference and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="runs of each, of which the median counts")
    options = parser.parse_args()
    backbone, mel = MusiCNN((96, 188)).eval(), 3 * torch.rand(PATCHES, 96, 188)
    difference = (embed("textbook", backbone, mel) - embed("plugin", backbone, mel)).abs().max().item()
    largest = embed("textbook", backbone, mel).abs().max().item()
    seconds: dict[str, list[float]] = {name: [] for name in FORWARDS}
    for _ in range(options.repeats):
        for name, values in seconds.items():
            start = time.perf_counter()
            embed(name, backbone, mel)
            values.append(time.perf_counter() - start)
    ratios = [before / after for before, after in zip(*seconds.values(), strict=True)]
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.2f} s a clip of 30 s, {memory(name):.2f} GB")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, {torch.get_num_threads()} threads"
    print(f"MusiCNN embeds {statistics.median(ratios):.2f} times as fast ({spread}) as in the textbook order")
    print(f"largest difference {difference:.1e} of {largest:.0f}")


if __name__ == "__main__":
    main()
