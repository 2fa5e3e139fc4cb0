"""The folder of a run: where a new one is made, and how a checkpoint leads back to its own.

A run lies like this, and may be moved::

    runs/<Backbone>-<date>-<time>/
        config.yaml  metrics.csv  summary.json  curves.png  confusion.png  test.csv  predictions.csv  tests/
        checkpoints/best.ckpt  checkpoints/last.ckpt
"""

import atexit
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import torch
from filelock import FileLock, Timeout

from lit_genre.console import console
from lit_genre.errors import LitGenreError
from lit_genre.files import atomic_write
from lit_genre.trust.plain import check_links, read_json, read_text, read_yaml, texts_of
from lit_genre.trust.signature import is_signed, sign

BEST: Final = "best"
"""Name of the checkpoint that is tested."""

RUNS: Final = Path("runs")
AUTO: Final = "auto"
_CONFIG: Final = "config.yaml"
_LOCK: Final = ".lock"
_NAMED: Final = (BEST, "last")


def new_run_folder(backbone: str) -> Path:
    """Make a folder that no other run has, by the time; `discard_empty_folders` removes it if nothing comes into it."""
    stem = RUNS / f"{backbone}-{datetime.now():%Y%m%d-%H%M%S}"
    for name in chain([stem], (stem.with_name(f"{stem.name}-{number}") for number in count(2))):
        try:
            # Of two processes that make it at once, one fails.
            name.mkdir(parents=True)
        except FileExistsError:
            continue
        _made.append(name.absolute())
        return name
    raise AssertionError("unreachable")


def discard_empty_folders() -> None:
    """Remove the folders that this process made for runs that left nothing."""
    while _made:
        folder = _made.pop()
        with suppress(OSError):
            if [path.name for path in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
            folder.rmdir()
            # The folder of all runs, if this one would have been the first.
            folder.parent.rmdir()


_made: list[Path] = []
atexit.register(discard_empty_folders)


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder while it is trained.

    Raises:
        LitGenreError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LitGenreError(
            f"Another process is training in {folder}: wait for its end, or name another folder by "
            "--trainer.default_root_dir."
        ) from error
    try:
        yield
    finally:
        # The file stays: a process that has opened it would lock a file that is not there any more.
        lock.release()


def run_folder_of(checkpoint: Path) -> Path | None:
    """Lead from a checkpoint to the folder of its run; None for a checkpoint that lies elsewhere."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / _CONFIG).exists() else None


def read_recipe(checkpoint: Path) -> dict[str, Any]:
    """Read the configuration of the run that a checkpoint is of; empty for a checkpoint that lies elsewhere.

    It is plain data, of which `lit_genre.trust.recipe` decides what may be followed.

    Args:
        checkpoint: The file.

    Raises:
        LitGenreError: The configuration is damaged.
    """
    folder = run_folder_of(checkpoint)
    if folder is None:
        return {}
    recipe = read_yaml(folder / _CONFIG)
    for name in ("model", "data"):
        if name in recipe and not isinstance(recipe[name], dict):
            reason = f"{name} is {recipe[name]!r}, not names with values"
            raise LitGenreError(f"{folder / _CONFIG} is damaged: {reason}.")
    class_path = recipe.get("data", {}).get("class_path")
    if not isinstance(class_path, str):
        raise LitGenreError(f"{folder / _CONFIG} is damaged: data.class_path is {class_path!r}, not a name.")
    return recipe


def is_own_run(folder: Path) -> bool:
    """Check that this account wrote the configuration of a run, and that it is unchanged."""
    path = folder / _CONFIG
    return path.is_file() and is_signed(read_text(path))


def own_texts(checkpoint: Path) -> frozenset[str]:
    """Collect the texts in the configuration of a checkpoint's run, if this account wrote it: it may name places."""
    folder = run_folder_of(checkpoint)
    return frozenset(texts_of(read_yaml(folder / _CONFIG))) if folder and is_own_run(folder) else frozenset()


def write_recipe(folder: Path, text: str) -> None:
    """Write the configuration of a run, signed by this account."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / _CONFIG) as file:
        file.write(sign(text).encode())


def check_run_folder(folder: Path) -> None:
    """Refuse the run folder of another account if links in it lead out of it.

    Raises:
        LitGenreError: One does; writing a table of the run would write elsewhere.
    """
    # Before anything is read from it.
    check_links(folder, [folder / _CONFIG])
    if is_own_run(folder):
        return
    tests = folder / "tests"
    # W&B's own folder holds a file for each thing it sends; its links are not followed from here.
    inner = [path for path in (folder / "checkpoints", tests, *tests.glob("*")) if path.is_dir()]
    check_links(folder, [*folder.iterdir(), *(path for part in inner for path in part.iterdir())])


def read_summary(folder: Path) -> dict[str, Any]:
    """Read what the end of a run wrote of it; empty where it has not ended."""
    path = folder / "summary.json"
    return read_json(path) if path.exists() else {}


def is_best(checkpoint: Path) -> bool:
    """Check whether a checkpoint is the one that its run is rated by: the best, or any where there is no best."""
    return checkpoint.stem == BEST or not checkpoint.with_name(f"{BEST}.ckpt").exists()


def begun(folder: str | None) -> Path | None:
    """Find the last checkpoint of a run that has begun in a folder; None where none has.

    Raises:
        LitGenreError: No folder is named.
    """
    if folder is None:
        raise LitGenreError(f"--ckpt_path {AUTO} goes on with the run in --trainer.default_root_dir: name that too.")
    last = Path(folder).expanduser() / "checkpoints" / "last.ckpt"
    return last if last.is_file() else None


def holds_run(folder: Path) -> bool:
    """Check whether a folder holds more than the first epoch of a run that was killed before its first checkpoint."""
    table = folder / "metrics.csv"
    return table.exists() and (
        (folder / "checkpoints" / "last.ckpt").exists()
        or (folder / "summary.json").exists()
        or table.read_text(encoding="utf-8").count("\n") > 2
    )


def find_checkpoint(name: str) -> Path:
    """Find a checkpoint by its path, or by "best" or "last" that of the newest run.

    Raises:
        LitGenreError: There is none.
    """
    path = Path(name).expanduser()
    if name in _NAMED:
        runs = _newest_first(RUNS.glob("*/checkpoints"))
        if not runs:
            raise LitGenreError(f"--ckpt_path {name}: no run in {RUNS.resolve()} has a checkpoint yet.")
        path = runs[0] / f"{name}.ckpt"
        console.print(f"Checkpoint: {path}")
    if not path.is_file():
        newest = "".join(f"\n  {found}" for found in _newest_first(RUNS.glob("*/checkpoints/*.ckpt"))[:5])
        raise LitGenreError(f"There is no checkpoint {path}. The newest in {RUNS.resolve()}:{newest or ' none.'}")
    return path


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        LitGenreError: The file is no checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not isinstance(content, dict) or "state_dict" not in content:
            raise KeyError("it holds no weights")
    except Exception as error:  # torch.load raises half a dozen types for a file that is no checkpoint.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LitGenreError(f"{path} is no checkpoint of lit-genre: {reason}") from error
    return content
