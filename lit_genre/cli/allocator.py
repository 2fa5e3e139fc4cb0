"""How the C library keeps memory, which on a CPU decides how fast large networks train."""

import ctypes
import sys
from typing import Final

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4


def retain_freed_memory() -> None:
    """Let the process keep the memory that tensors leave, for those of the next step.

    glibc gives blocks of 32 MB and more back to the system as soon as they are free, and the system clears each page
    when it is touched anew: up to half of a training step of CNN2DDeep. The price is memory, half as much again for
    that network. Does nothing where the C library is not glibc.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
