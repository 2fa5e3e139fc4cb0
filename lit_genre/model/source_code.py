"""Compute a digest of a module's source code, for caches of its results."""

import inspect
import sys
from hashlib import sha256

from torch import nn


def source_digest(module: nn.Module) -> str:
    """Return the SHA-256 of the files that define the classes of a module, its parts and their base classes.

    Files of PyTorch are left out. A class without a file, such as one typed into a console, is represented by its name.

    Args:
        module: The module.

    Returns:
        Hexadecimal digits.
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
