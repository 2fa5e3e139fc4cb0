"""Measure training steps in float32, with bfloat16 autocast, and compiled.

    python benchmarks/precision.py [--networks CRNN ...] [--rounds 7]

A step is forward, backward and Adam on the spectrograms of 32 clips of 30 s, on the accelerator if there is one. The
losses after the same steps on the same batch show the effect of the precision.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from lit_genre.backbones.registry import backbones
from lit_genre.cli.allocator import retain_freed_memory

BATCH, SHAPE, CLASSES = 32, (128, 646), 8
SEVEN = ["CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN"]
KINDS = {"float32": (False, False), "bf16": (True, False), "compiled": (False, True), "bf16, compiled": (True, True)}


class Trained(nn.Module):
    """A network with a head, and the optimiser that trains it."""

    def __init__(self, name: str, low: bool, compiled: bool, device: torch.device) -> None:
        super().__init__()
        torch.manual_seed(0)
        backbone = backbones()[name].loaded(SHAPE)
        self.network = nn.Sequential(backbone, nn.Linear(backbone.embedding_dim, CLASSES)).to(device)
        if compiled:
            backbone.compile()
        self.low, self.device = low, device
        self.optimizer = torch.optim.Adam(self.network.parameters())

    def step(self, mel: Tensor, label: Tensor) -> float:
        """Train on a batch, and return the seconds."""
        began = time.perf_counter()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
            logits = self.network(mel)
        loss = nn.functional.cross_entropy(logits.float(), label)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.loss = float(loss.detach())  # waits for the accelerator
        return time.perf_counter() - began


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", default=SEVEN)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if not torch.accelerator.is_available():
        retain_freed_memory()  # As the command line does.
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    mel = (torch.rand(BATCH, *SHAPE, generator=generator) * 2 - 1).to(device)
    label = torch.randint(CLASSES, (BATCH,), generator=generator).to(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{device}, {name}; ms a clip (loss after {options.rounds + 1} steps)")
    for network in options.networks:
        trained = {kind: Trained(network, *how, device) for kind, how in KINDS.items()}
        seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(options.rounds + 1):
            # In turn, for all suffer alike from a noisy machine; the first, which compiles, does not count.
            for kind, one in trained.items():
                seconds[kind].append(one.step(mel, label))
        for kind, one in trained.items():
            took = 1000 * statistics.median(seconds[kind][1:]) / BATCH
            print(f"{network:<14}{kind:<16}{took:7.2f} ({one.loss:.3f})", flush=True)


if __name__ == "__main__":
    main()
