"""Choose the windows of a time line: more and overlapping ones between the clips of evaluation."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_HOPS_PER_CLIP: Final = 4
"""Windows of a time line that begin within the length of a clip. With more, neighbours hardly differ."""

MAX_WINDOWS: Final = 120
"""Largest number of windows of a time line, unless the clips of the song are more: a window costs as much as a clip."""


def windows_between(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first samples of windows between the clips of a song, evenly spaced.

    Clips that follow one another get three windows in between, so that one begins every quarter of a clip. A long song
    gets fewer or none, so that clips and windows are at most `MAX_WINDOWS`.

    Args:
        starts: First sample of each clip, ascending, shape (w,), int64.

    Returns:
        First sample of each window, shape (v,), int64.

    >>> windows_between(np.array([0, 400, 800]))
    array([100, 200, 300, 500, 600, 700])
    """
    gaps = len(starts) - 1
    hops = max(1, min(_HOPS_PER_CLIP, (MAX_WINDOWS - 1) // max(1, gaps)))
    numbers = np.arange(gaps * hops)
    # A multiple of `hops` is a clip, which is predicted already.
    positions = numbers[numbers % hops > 0] / hops
    return np.interp(positions, np.arange(len(starts)), starts).round().astype(np.int64)
