"""The folder of a run: where a new one is made, and how a checkpoint leads back to its own.

A run lies like this, and may be moved::

    runs/<Backbone>-<date>-<time>/
        config.yaml  metrics.csv  summary.json  curves.png  confusion.png  test.csv  predictions.csv  tests/
        checkpoints/best.ckpt  checkpoints/last.ckpt
"""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import torch
import yaml

from lit_genre.console import console
from lit_genre.errors import LitGenreError

BEST: Final = "best"
"""Name of the checkpoint that is tested."""

RUNS: Final = Path("runs")
AUTO: Final = "auto"
_NAMED: Final = (BEST, "last")


def new_run_folder(backbone: str) -> Path:
    """Name a folder that is not there yet."""
    stem = RUNS / f"{backbone}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (stem, *(stem.with_name(f"{stem.name}-{number}") for number in range(2, 100)))
    return next(name for name in names if not name.exists())


def run_folder_of(checkpoint: Path) -> Path | None:
    """Lead from a checkpoint to the folder of its run; None for a checkpoint that lies elsewhere."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").exists() else None


def read_recipe(checkpoint: Path) -> dict[str, Any]:
    """Read the configuration of the run that a checkpoint is of; empty for a checkpoint that lies elsewhere."""
    folder = run_folder_of(checkpoint)
    recipe = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) if folder else {}
    return dict(recipe)


def read_summary(folder: Path) -> dict[str, Any]:
    """Read what the end of a run wrote of it; empty where it has not ended."""
    path = folder / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def is_best(checkpoint: Path) -> bool:
    """Tell whether a checkpoint is the one that its run is rated by: the best, or any where there is no best."""
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
    """Tell whether a folder holds more than the first epoch of a run that was killed before its first checkpoint."""
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


def read_hyperparameters(checkpoint: Path) -> dict[str, Any]:
    """Read the model's arguments, plain data, from a checkpoint; nothing in the file is executed.

    Raises:
        LitGenreError: The file is no checkpoint of a GenreClassifier.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        hyperparameters = dict(content["hyper_parameters"])
        if missing := {"backbone", "classes"} - hyperparameters.keys():
            raise KeyError(*sorted(missing))
    except Exception as error:  # torch.load raises half a dozen types for a file that is no checkpoint.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LitGenreError(f"{checkpoint} is no checkpoint of lit-genre: {reason}") from error
    hyperparameters.pop("_instantiator", None)
    return hyperparameters
