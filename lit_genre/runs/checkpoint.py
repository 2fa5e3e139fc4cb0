"""Read a checkpoint file as plain data."""

import sys
from pathlib import Path
from typing import Any

import torch

from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import BEST


def is_best(checkpoint: Path) -> bool:
    """Check whether the test of a checkpoint counts as the test of its run.

    Args:
        checkpoint: Path of the checkpoint.

    Returns:
        True for best.ckpt, and for any checkpoint of a run without best.ckpt.
    """
    return checkpoint.stem == BEST or not checkpoint.with_name(f"{BEST}.ckpt").exists()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data; no code in the file is executed.

    Args:
        path: Path of the checkpoint.

    Returns:
        Content of the checkpoint by name, with tensors on the CPU.

    Raises:
        LitGenreError: The file cannot be read, or is not a checkpoint.
    """
    try:
        # mmap: the weights are read only when they are used, and a check of the description needs none of them.
        # Windows does not replace a mapped file, as a resumed run and a calibration do.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=sys.platform != "win32")
        if not isinstance(content, dict) or "state_dict" not in content:
            raise KeyError("it has no weights")
    except Exception as error:  # torch.load raises half a dozen types for a file that is not a checkpoint.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LitGenreError(f"{path} is not a checkpoint of lit-genre: {reason}") from error
    return content
