"""Check before the work whether the disks have enough space for it."""

import os
import shutil
from collections import defaultdict
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from rich.filesize import decimal

from lit_genre.errors import LitGenreError


class Step(NamedTuple):
    """A step that needs disk space or frees it.

    Attributes:
        name: Name of the data, for messages.
        folder: Folder of the data.
        n_bytes: Space that it needs, bytes; below 0 if the data is deleted.
    """

    name: str
    folder: Path
    n_bytes: int


def check_space(steps: list[Step]) -> None:
    """Raise an error if a disk does not have enough space at some time.

    Args:
        steps: The steps, in their order.

    Raises:
        LitGenreError: A disk has too little space.
    """
    disks: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        # Folders on one disk share its space.
        disks[_existing_part(step.folder).stat().st_dev].append(step)
    for plan in disks.values():
        # Data that is deleted in a later step needs space until then, so the maximum counts and not the sum.
        maximum = max(accumulate((step.n_bytes for step in plan), initial=0))
        free = shutil.disk_usage(_existing_part(plan[0].folder)).free
        if maximum > free:
            parts = ", ".join(f"{step.name} {decimal(step.n_bytes)}" for step in plan if step.n_bytes > 0)
            raise LitGenreError(
                f"The disk of {plan[0].folder} has {decimal(free)} free, but {decimal(maximum)} are needed at once, "
                f"of: {parts}. Free space, or choose another --root, or another --store_root for the decoded audio."
            )


def folder_bytes(folder: Path) -> int:
    """Return the total size of the files in a folder.

    Args:
        folder: The folder.

    Returns:
        Bytes; 0 if there is no such folder.
    """
    return sum((Path(parent) / name).stat().st_size for parent, _, names in os.walk(folder) for name in names)


def _existing_part(folder: Path) -> Path:
    """Return the longest part of a path that exists."""
    # `stat` and `disk_usage` need a path that exists. The root of the file system always does.
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())
