"""Create the folder of a new run, and find the checkpoints of earlier runs."""

import atexit
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Final

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import BEST, LAST, RunFolder

RUNS: Final = Path("runs")
"""Folder of all runs, relative to the current folder."""

AUTO: Final = "auto"
"""Value of --ckpt_path that resumes the run in --trainer.default_root_dir, or starts it."""

_EVERY_RUN: Final = RunFolder(Path("*"))
"""The paths of this folder are patterns for `RUNS.glob`."""

_made: list[RunFolder] = []
"""Folders that this process has created, as absolute paths: the current folder may change until they are removed."""


def new_run_folder(backbone: str) -> RunFolder:
    """Create a folder for a new run. If it stays empty, `discard_empty_folders` removes it.

    Args:
        backbone: Name of the backbone.

    Returns:
        The folder `runs/<backbone>-<date>-<time>`, with a number at the end if another run has this name.
    """
    stem = RUNS / f"{backbone}-{datetime.now():%Y%m%d-%H%M%S}"
    for path in chain([stem], (stem.with_name(f"{stem.name}-{number}") for number in count(2))):
        try:
            # If two processes create the folder at the same time, this raises an error in one of them.
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        _made.append(RunFolder(path.absolute()))
        return RunFolder(path)
    raise AssertionError("unreachable")


def discard_empty_folders() -> None:
    """Remove the folders that this process created for runs that wrote no file."""
    while _made:
        folder = _made.pop()
        with suppress(OSError):
            if list(folder.path.iterdir()) == [folder.lock]:
                folder.lock.unlink()
            folder.path.rmdir()
            # Also the folder of all runs if this would have been its first; otherwise it is not empty, and stays.
            folder.path.parent.rmdir()


# A run may fail before its first step, for example because the data is missing. It leaves no empty folder.
atexit.register(discard_empty_folders)


def last_checkpoint(folder: str | None) -> Path | None:
    """Return the last checkpoint of the run in a folder.

    Args:
        folder: The folder; None if --trainer.default_root_dir is not set.

    Returns:
        Path of last.ckpt; None if the run has no checkpoint yet.

    Raises:
        LitGenreError: folder is None.
    """
    if folder is None:
        raise LitGenreError(f"--ckpt_path {AUTO} resumes the run in --trainer.default_root_dir. Set that option, too.")
    last = RunFolder(Path(folder).expanduser()).last
    return last if last.is_file() else None


def find_checkpoint(name: str) -> Path:
    """Find a checkpoint.

    Args:
        name: Path of the checkpoint; or "best" for best.ckpt of the newest finished run, or of the newest run if none
            is finished; or "last" for last.ckpt of the newest run.

    Returns:
        Path of an existing file.

    Raises:
        LitGenreError: There is no such checkpoint.
    """
    path = _newest_checkpoint(name) if name in (BEST, LAST) else Path(name).expanduser()
    if not path.is_file():
        newest = _newest_first(RUNS.glob(str(_EVERY_RUN.checkpoint("*"))))[:5]
        lines = "".join(f"\n  {checkpoint}" for checkpoint in newest)
        raise LitGenreError(f"There is no checkpoint {path}. The newest in {RUNS.resolve()}:{lines or ' none.'}")
    return path


def _newest_checkpoint(name: str) -> Path:
    """Return "best" of the newest finished run, or of the newest run if none is finished; "last" of the newest run."""
    runs = [RunFolder(path.parent) for path in _newest_first(RUNS.glob(str(_EVERY_RUN.checkpoints)))]
    if not runs:
        raise LitGenreError(f"--ckpt_path {name}: no run in {RUNS.resolve()} has a checkpoint yet.")
    # If a run is still training, its best checkpoint may change during the test.
    finished = [run for run in runs if run.summary.is_file()] if name == BEST else []
    run = (finished or runs)[0]
    kind = "newest finished run" if finished else "newest run"
    skipped = f"; {runs[0].path} is not finished" if finished and run is not runs[0] else ""
    console.print(f"Checkpoint: {run.checkpoint(name)} ({kind}{skipped})")
    return run.checkpoint(name)


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
