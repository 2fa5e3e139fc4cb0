"""Processes that are killed at moments of one's choice, and started again until they are done.

All are forked from one process that has imported torch and Lightning, which takes longer than what they do, but has
computed nothing: threads do not survive a fork.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import psutil
import torch

# Imported before the fork, for it takes seconds.
import lit_genre.cli.training  # noqa: F401
from lit_genre.__main__ import main
from lit_genre.callbacks.checkpoint import DurableCheckpointIO
from lit_genre.data.store.builder import build_store
from lit_genre.data.store.pcm import open_store
from lit_genre.model.classifier import GenreClassifier
from tests.helpers.runs import assert_same_weights, metrics

PHASES: Final = ("elsewhere", "training", "validation", "checkpoint")
"""What a run does; "checkpoint" is while one is written."""

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_SERVER: Final = multiprocessing.forkserver._forkserver
_prepared: int | None = -1
"""The server that has imported this module, by its process."""


class Moment(NamedTuple):
    """When to kill a run.

    Attributes:
        phase: In which phase, one of PHASES, or "" for whatever it does.
        epochs: From how many rows in metrics.csv on.
        pause: Seconds that it may go on then.
    """

    phase: str
    epochs: int
    pause: float = 0


class Kill(NamedTuple):
    """What a kill came upon, and left.

    Attributes:
        phase: What the run did, one of PHASES.
        epochs: Rows in metrics.csv.
        resumable: Whether there is a checkpoint to go on from.
        torn: Whether it left half a checkpoint.
    """

    phase: str
    epochs: int
    resumable: bool
    torn: bool


def warm_up() -> None:
    """Start the process that has imported all, for those who want to know how long the others take."""
    _end(_start(print))


def fit(folder: Path, words: Sequence[object]) -> None:
    """Run `lit-genre fit` to its end in a folder, or go on with what is in it, in a process of its own."""
    phase = _CONTEXT.RawValue("i", 0)
    _end(_start_fit(folder, words, phase))


def fit_and_kill(folder: Path, words: Sequence[object], moments: Sequence[Moment]) -> Iterator[Kill]:
    """Run `lit-genre fit` in a folder, kill it at each moment and go on with it, in the end to its end.

    Args:
        folder: Folder of the run.
        words: Options of `fit`, but for the folder.
        moments: When.
    """
    for moment in moments:
        phase, parts = _CONTEXT.RawValue("i", 0), _parts(folder)
        process = _start_fit(folder, words, phase)
        while process.is_alive():
            # What is seen may be over already, so it is seen again while the process stands still.
            if _has_come(moment, folder, PHASES[phase.value], parts) and _suspended(process):
                if _has_come(moment, folder, PHASES[phase.value], parts):
                    break
                psutil.Process(process.pid).resume()
            time.sleep(0.0002)
        if moment.pause and process.is_alive():
            psutil.Process(process.pid).resume()
            process.join(moment.pause)
        if not _killed(process):
            return
        last = folder / "checkpoints" / "last.ckpt"
        yield Kill(PHASES[phase.value], _lines(folder / "metrics.csv") - 1, last.exists(), bool(_parts(folder) - parts))
    fit(folder, words)


def build_and_kill(
    folder: Path, files: dict[int, Path], rate: int, moments: Sequence[tuple[int, float]]
) -> Iterator[int]:
    """Build a store, kill that at some moments and go on with it, in the end to its end.

    Args:
        folder: Folder of the store.
        files: File of each track.
        rate: Sample rate, Hz.
        moments: When: from how many tracks in the index on, and after how many seconds more.

    Yields:
        Tracks in the index after each kill.
    """
    index = folder / "index.csv"
    for tracks, pause in moments:
        process = _start(build_store, folder, files, rate)
        while process.is_alive() and _lines(index) - 1 < tracks:
            time.sleep(0.0002)
        process.join(pause)
        if not _killed(process):
            return
        yield _lines(index) - 1  # Without the header.
    _end(_start(build_store, folder, files, rate))


def assert_same_run(first: Path, second: Path) -> None:
    """Compare two finished runs by weights and history; what an epoch took may differ."""
    for name in ("last", "best"):
        assert_same_weights(first / "checkpoints" / f"{name}.ckpt", second / "checkpoints" / f"{name}.ckpt")
    rows, others = (
        [{name: row[name] for name in row if name not in ("seconds", "memory_gb")} for row in metrics(folder)]
        for folder in (first, second)
    )
    assert rows == others
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    assert {path.relative_to(first) for path in first.rglob("*")} == {p.relative_to(second) for p in second.rglob("*")}


def assert_same_store(first: Path, second: Path, track_ids: Sequence[int]) -> None:
    """Compare two stores track by track; the samples may lie at different places."""
    one, other = (open_store(folder) for folder in (first, second))
    assert one.entries.keys() == other.entries.keys() == set(track_ids)
    for track_id in track_ids:
        entries = one.entries[track_id], other.entries[track_id]
        assert entries[0]._replace(offset=0, generation=0) == entries[1]._replace(offset=0, generation=0)
        samples = np.zeros((2, entries[0].n_samples), dtype=np.int16)
        assert one.read(track_id, 0, samples[0]) == other.read(track_id, 0, samples[1]) == entries[0].n_samples
        assert (samples[0] == samples[1]).all()


def _start_fit(folder: Path, words: Sequence[object], phase: Any) -> BaseProcess:
    last = folder / "checkpoints" / "last.ckpt"
    rest = [f"--ckpt_path={last}"] if last.exists() else [*map(str, words), f"--trainer.default_root_dir={folder}"]
    return _start(_fit, folder.parent, ["fit", *rest], phase)


def _prepare_server() -> None:
    """Start the process from which the others are forked, in place of one that has not imported this module."""
    global _prepared
    if _SERVER._forkserver_pid != _prepared:
        # There is one for all of a Python process, and a test of `lit-genre serve` may have started it.
        _SERVER._stop()
        _CONTEXT.set_forkserver_preload([__name__])
        _SERVER.ensure_running()
        _prepared = _SERVER._forkserver_pid


def _suspended(process: BaseProcess) -> bool:
    """Suspend a process; return whether it is, or False if it has ended."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process.pid).suspend()
        while (status := psutil.Process(process.pid).status()) != psutil.STATUS_ZOMBIE:
            if status == psutil.STATUS_STOPPED:
                return True
            time.sleep(0.0002)
    return False


def _start(target: Callable[..., object], *arguments: Any) -> BaseProcess:
    _prepare_server()
    process = _CONTEXT.Process(target=_run_quietly, args=(target, arguments))
    process.start()
    return process


def _run_quietly(target: Callable[..., object], arguments: Sequence[Any]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    torch.set_num_threads(1)
    target(*arguments)


def _fit(where: Path, words: list[str], phase: Any) -> None:
    for owner, method, name in (
        (GenreClassifier, "training_step", "training"),
        (GenreClassifier, "validation_step", "validation"),
        (DurableCheckpointIO, "save_checkpoint", "checkpoint"),
    ):
        setattr(owner, method, _marked(getattr(owner, method), phase, PHASES.index(name)))
    os.chdir(where)
    main(words)


def _marked(call: Callable[..., Any], phase: Any, number: int) -> Callable[..., Any]:
    @wraps(call)
    def marked(*arguments: Any, **options: Any) -> Any:
        phase.value = number
        try:
            return call(*arguments, **options)
        finally:
            phase.value = 0

    return marked


def _has_come(moment: Moment, folder: Path, phase: str, parts: set[int]) -> bool:
    if _lines(folder / "metrics.csv") - 1 < moment.epochs:
        return False
    # What matters of a checkpoint is not that it is about to be written, but that something of it is on the disk.
    return bool(_parts(folder) - parts) if moment.phase == "checkpoint" else moment.phase in ("", phase)


def _parts(folder: Path) -> set[int]:
    """Return when checkpoints that are not whole were written; a killed run leaves its own."""
    found = set()
    for path in (folder / "checkpoints").glob("*.part"):
        with suppress(FileNotFoundError):
            found.add(path.stat().st_mtime_ns)
    return found


def _lines(table: Path) -> int:
    return table.read_bytes().count(b"\n") if table.exists() else 0


def _killed(process: BaseProcess) -> bool:
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"the process ended by itself with {process.exitcode}"
    return process.exitcode != 0


def _end(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0, f"the process ended with {process.exitcode}"
