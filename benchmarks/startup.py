"""Measure the CPU time until a command prints its help, its list or its error, next to that of importing torch.

    python benchmarks/startup.py --rounds 5

The help of a command must not wait for the import of torch, which takes seconds. Each figure is the median of several
processes.
"""

import argparse
import resource
import subprocess
import sys
from statistics import median

COMMANDS = {
    "--help": (),
    "prepare": ("--help",),
    "demo": ("--help",),
    "audit": ("--help",),
    "datasets": (),
    "fit": ("--help",),
    "probe": ("--help",),
    "baseline": ("--help",),
    "backbones": (),
    "compare": ("--help",),
    "runs": ("--help",),
    "classify": ("--help",),
    "similar": ("--help",),
    "serve": ("--help",),
    "export": ("--help",),
    "new-backbone": ("--help",),
    "test": ("--ckpt_path", "no such file"),
}


def cpu_seconds(command: list[str]) -> float:
    """Return the CPU time of a process and its children, s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure the commands alternately, so that noise of the machine affects all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    torch: list[float] = []
    # The first round fills the caches of the lists, and does not count.
    for number in range(options.rounds + 1):
        for name, words in COMMANDS.items():
            taken = cpu_seconds([sys.executable, "-m", "lit_genre", name, *words])
            if number:
                seconds[name].append(taken)
        torch.append(cpu_seconds([sys.executable, "-c", "import torch"]))
    for name, words in COMMANDS.items():
        print(f"{' '.join((name, *words)):<30}{median(seconds[name]):6.2f} s")
    slowest = max(COMMANDS, key=lambda name: median(seconds[name]))
    ratio = median(seconds[slowest]) / median(torch)
    print(f"import torch{median(torch):24.2f} s; the slowest command, {slowest}: ratio {ratio:.2f} to it")


if __name__ == "__main__":
    main()
