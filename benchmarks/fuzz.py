"""Read thousands of damaged files, in child processes with limited memory and time.

    python benchmarks/fuzz.py [--count 2700] [--seed 0] [--keep fuzz-bugs]

A file is decoded, put into a store, unpacked or read as a table; that may end in a typed error which names it, or in
a result that can be right. Everything else is a bug (a signal, a hang, another error, silent zeros, a file outside
its folder): such files are kept. The same seed damages the same files in the same way.

Of each damaged audio file that still is one, the seconds that `decode_track` decodes are compared with those that
FFmpeg alone decodes. At most 2 % of the latter should be missing; the files that lack most are kept as well.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.ffmpeg import Decoding
from lit_genre.data.decoding.track_audio import decode_track
from lit_genre.demo.write import write_demo
from tests.helpers.damage.cases import LONGEST, Case
from tests.helpers.damage.fuzzing import BUG, Outcome, make_cases, try_all
from tests.helpers.damage.mutations import FORMATS, RATE, write_whole_files

WORST = 10
"""Files that are kept because they lack most of what FFmpeg decodes."""


class Decoded(NamedTuple):
    """Seconds of a damaged file that are decoded by this package, and by FFmpeg alone."""

    case: Case
    seconds: float
    ffmpeg_seconds: float

    @property
    def missing(self) -> float:
        """Return the seconds that only FFmpeg decodes."""
        return max(0.0, self.ffmpeg_seconds - self.seconds)


def compare(case: Case) -> Decoded:
    """Decode a file in both ways."""
    try:
        with decode_track(case.path, RATE) as audio:
            seconds = audio.n_samples / RATE
    except AudioError:
        seconds = 0.0
    blocks, n_samples, is_sound = Decoding(case.path, RATE), 0, False
    try:
        for block in blocks:
            n_samples += len(block)
            is_sound = is_sound or bool(block.any())
            if n_samples > LONGEST * RATE:
                break
    except AudioError:
        pass
    return Decoded(case, seconds, n_samples / RATE * is_sound)


def print_missing(results: Sequence[Decoded]) -> None:
    """Print the seconds by format, and the files that lack most."""
    by_kind: dict[str, list[Decoded]] = defaultdict(list)
    for result in results:
        by_kind[result.case.kind].append(result)
    print("| | files | decoded, s | FFmpeg alone, s | of those missing, s | share |\n|---|---|---|---|---|---|")
    for kind, some in (*by_kind.items(), ("all", results)):
        ours, theirs, missing = (
            sum(values) for values in zip(*((r.seconds, r.ffmpeg_seconds, r.missing) for r in some), strict=True)
        )
        print(f"| {kind} | {len(some)} | {ours:.1f} | {theirs:.1f} | {missing:.2f} | {missing / theirs:.2%} |")
    for result in worst(results):
        print(
            f"{result.missing:6.2f} s missing: {_number(result.case)}-{result.case.mutation}-{result.case.path.name}: "
            f"{result.seconds:.2f} of {result.ffmpeg_seconds:.2f} s"
        )


def worst(results: Iterable[Decoded]) -> list[Decoded]:
    """Return the files that lack most."""
    lacking = [result for result in results if result.missing > 0.05]
    return sorted(lacking, key=lambda result: -result.missing)[:WORST]


def _number(case: Case) -> str:
    return next(part for part in case.path.parts if part.isdecimal() and len(part) == 5)


def keep(case: Case, folder: Path, text: str) -> Path:
    """Copy a file, with a note."""
    path = folder / f"{_number(case)}-{case.mutation}-{case.path.name}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(case.path, path)
    path.with_name(f"{path.name}.txt").write_text(text)
    return path


def report_bug(outcome: Outcome, folder: Path) -> None:
    """Keep and name a file that showed a bug."""
    path = keep(outcome.case, folder, f"{outcome.result}\n{outcome.said}")
    print(f"{outcome.result}: {path}\n  {outcome.said.strip().splitlines()[-1]}")


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
                report_bug(outcome, options.keep)
        seconds = time.perf_counter() - began
        # libmpg123 writes notes on damaged files to the standard error stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        decoded = [compare(case) for case in cases if case.kind in FORMATS]
        for result in worst(decoded):
            keep(result.case, options.keep, f"{result.seconds:.2f} of {result.ffmpeg_seconds:.2f} s")
    print("| | files | outcomes |\n|---|---|---|")
    for kind in whole:
        results = Counter({result: count for (of, result), count in counts.items() if of == kind})
        print(f"| {kind} | {results.total()} | {', '.join(f'{text} {n}' for text, n in results.most_common())} |")
    bugs = sum(count for (_, result), count in counts.items() if result.startswith(BUG))
    print_missing(decoded)
    print(f"{counts.total():,} files, seed {options.seed}, {bugs} bugs, {seconds:.0f} s")


if __name__ == "__main__":
    main()
