"""What comes of damaged files: thousands of them, in child processes with little memory and little time.

    python benchmarks/fuzz.py [--count 2700] [--seed 0] [--keep fuzz-bugs]

A file is decoded, put into a store, unpacked or read as a table; that may end in a typed error which names it, or in
a result that can be right. Everything else is a bug (a signal, a hang, another error, silent zeros, a file outside
its folder): such files are kept. The same seed damages the same files in the same way.
"""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from lit_genre.demo.write import write_demo
from tests.data.fuzzing import BUG, Outcome, make_cases, try_all
from tests.data.mutations import write_whole_files


def keep(outcome: Outcome, folder: Path) -> None:
    """Copy a file that showed a bug, with what was said."""
    case = outcome.case
    number = next(part for part in case.path.parts if part.isdecimal() and len(part) == 5)
    place = folder / f"{number}-{case.mutation}-{case.path.name}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(case.path, place)
    place.with_name(f"{place.name}.txt").write_text(f"{outcome.result}\n{outcome.said}")
    print(f"{outcome.result}: {place}\n  {outcome.said.strip().splitlines()[-1]}")


def main() -> None:
    """Print how often which kind of file had which outcome."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-bugs"))
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        root, fma, began = Path(name), Path(name) / "fma", time.perf_counter()
        write_demo(fma, artists=3, tracks_per_artist=1, seconds=1.0)
        whole = write_whole_files(root / "whole", fma)
        cases = list(make_cases(root / "cases", whole, fma, options.count, options.seed))
        for outcome in try_all(cases):
            counts[outcome.case.kind, outcome.result] += 1
            if outcome.result.startswith(BUG):
                keep(outcome, options.keep)
        seconds = time.perf_counter() - began
    print("| | files | outcomes |\n|---|---|---|")
    for kind in whole:
        results = Counter({result: count for (of, result), count in counts.items() if of == kind})
        print(f"| {kind} | {results.total()} | {', '.join(f'{text} {n}' for text, n in results.most_common())} |")
    bugs = sum(count for (_, result), count in counts.items() if result.startswith(BUG))
    print(f"{counts.total():,} files, seed {options.seed}, {bugs} bugs, {seconds:.0f} s")


if __name__ == "__main__":
    main()
