"""The code that a module computes by, for what is kept of its results."""

import inspect
import sys
from hashlib import sha256

from torch import nn


def source_digest(module: nn.Module) -> str:
    """Sum up the files that define the classes of a module and its parts and those that they derive from.

    PyTorch's own are left out. Of a class that was typed into a console there is the name alone.
    """
    names = {base.__module__ for part in module.modules() for base in type(part).__mro__}
    digest = sha256()
    for name in sorted(name for name in names if name.partition(".")[0] not in ("builtins", "torch", "typing")):
        digest.update(name.encode())
        try:
            digest.update(inspect.getsource(sys.modules[name]).encode())
        except (KeyError, OSError, TypeError):
            continue
    return digest.hexdigest()
