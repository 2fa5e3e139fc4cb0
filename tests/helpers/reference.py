"""Libraries that tests compare results with, and that may be missing."""

from types import ModuleType

import pytest


def import_torchaudio() -> ModuleType:
    """Import torchaudio; skip the test if it is not installed, or does not match torch."""
    try:
        import torchaudio
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchaudio cannot be imported: {error}")
    return torchaudio
