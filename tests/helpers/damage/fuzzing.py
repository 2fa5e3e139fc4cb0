"""Damaged files, each tried in a process with little memory and little time, which may die of it."""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tests.helpers.damage.cases import CHECKS, Case
from tests.helpers.damage.mutations import FORMATS, MUTATIONS, Mutation

MEMORY: Final = 3 << 30
"""Address space that a process may have, bytes: its libraries take half of it."""
SECONDS: Final = 20
"""Time for one file, of the processor and by the clock: a whole one takes a hundredth of a second."""
BUG: Final = "BUG"


class Outcome(NamedTuple):
    """What came of it, in a word or two; where that begins with `BUG`, `said` tells more."""

    case: Case
    result: str
    said: str


def make_cases(folder: Path, whole: dict[str, list[Path]], fma: Path, count: int, seed: int) -> Iterator[Case]:
    """Write damaged files, the same for the same seed; kinds and mutations take turns."""
    for number in range(count):
        random = np.random.default_rng((seed, number))
        kinds = list(whole)
        kind = kinds[number % len(kinds)]
        mutate = MUTATIONS[kind][number // len(kinds) % len(MUTATIONS[kind])]
        yield _make_case(folder / f"{number:05d}", kind, mutate, whole, fma, random)


def _make_case(
    folder: Path, kind: str, mutate: Mutation, whole: dict[str, list[Path]], fma: Path, random: np.random.Generator
) -> Case:
    source = whole[kind][random.integers(len(whole[kind]))]
    # Audio goes on with audio of any format.
    others = [path for name in FORMATS for path in whole[name]] if kind in FORMATS else whole[kind]
    other = others[random.integers(len(others))]
    path = folder / "in" / source.name
    path.parent.mkdir(parents=True)
    if kind.endswith((".csv", ".int16")):
        path = path.parent / source.parent.name / source.name
        shutil.copytree(source.parent, path.parent)
    elif mutate.__name__ == "renamed":
        path = path.with_suffix(random.choice([".mp3", ".raw", ".flac", ".txt", ""]))
    path.write_bytes(mutate(source.read_bytes(), other.read_bytes(), random))
    return Case(kind, mutate.__name__, path, source, fma)


def try_all(cases: Sequence[Case], batch: int = 250) -> Iterator[Outcome]:
    """Try each case; a process that dies or hangs is one case's outcome, and the next process goes on behind it."""
    # Each begins with nothing of the parent's, whose memory would count as its own.
    context = multiprocessing.get_context("spawn")
    waiting = deque(cases)
    while waiting:
        some = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_try_in_turn, args=(some, sending))
        process.start()
        sending.close()
        for position, case in enumerate(some):
            outcome = _receive(receiving, process, case)
            yield outcome
            if process.exitcode is not None:
                waiting.extendleft(reversed(some[position + 1 :]))
                break
        process.join()


def _receive(receiving: Connection, process: multiprocessing.process.BaseProcess, case: Case) -> Outcome:
    try:
        if receiving.poll(2 * SECONDS):
            return Outcome(case, *receiving.recv())
        process.kill()
    except EOFError:
        pass
    process.join()
    code = process.exitcode or 0
    return Outcome(case, f"{BUG} {signal.Signals(-code).name if code < 0 else f'exit {code}'}", "the process died")


def _try_in_turn(cases: list[Case], sending: Connection) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case in cases:
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = int(used.ru_utime + used.ru_stime) + SECONDS + 1
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        sending.send(_try(case))
    sending.close()


def _try(case: Case) -> tuple[str, str]:
    folder = case.path.parents[1] if case.kind in (*FORMATS, "ZIP") else case.path.parents[2]
    os.chdir(folder)
    before, content = _around(folder), case.path.read_bytes()
    try:
        result = CHECKS[case.kind](case)
        assert _around(folder) == before, f"a file outside its folder: {_around(folder) - before}"
        assert case.kind in ("index.csv", "pcm-1.int16") or case.path.read_bytes() == content, "the file was changed"
    except Exception as error:
        return f"{BUG} {type(error).__name__}", traceback.format_exc()
    return result, ""


def _around(folder: Path) -> set[Path]:
    """List a case's folder and the one of all cases."""
    return {*folder.iterdir(), *folder.parent.iterdir()}
