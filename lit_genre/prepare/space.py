"""Whether a disk has room for what is planned, said before the work and not in the middle of it."""

import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from rich.filesize import decimal

from lit_genre.errors import LitGenreError


class Step(NamedTuple):
    """Something that takes space, or gives it back.

    Attributes:
        name: What it is.
        folder: Where.
        n_bytes: How much it takes; below 0 for what is deleted.
    """

    name: str
    folder: Path
    n_bytes: int


def check_space(steps: list[Step]) -> None:
    """Refuse a plan that some disk has no room for at some time.

    Raises:
        LitGenreError: So much is missing, and for what.
    """
    disks: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        disks[_there(step.folder).stat().st_dev].append(step)
    for plan in disks.values():
        total = most = 0
        for step in plan:
            total += step.n_bytes
            most = max(most, total)
        free = shutil.disk_usage(_there(plan[0].folder)).free
        if most > free:
            parts = ", ".join(f"{step.name} {decimal(step.n_bytes)}" for step in plan if step.n_bytes > 0)
            raise LitGenreError(
                f"The disk of {plan[0].folder} has {decimal(free)} free, but {decimal(most)} are needed at once, "
                f"of: {parts}. Free space, or name another --root, or another --store_root for the decoded audio."
            )


def folder_bytes(folder: Path) -> int:
    """Add up the sizes of the files in a folder; 0 where there is none."""
    return sum((Path(parent) / name).stat().st_size for parent, _, names in os.walk(folder) for name in names)


def _there(folder: Path) -> Path:
    """Find the part of a path that exists already."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())
