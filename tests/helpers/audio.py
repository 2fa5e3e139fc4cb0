"""Sounds that tests decode, analyse and train on."""

import numpy as np
from numpy.typing import NDArray


def tone(hertz: float, seconds: float, rate: int = 22050, amplitude: float = 0.5) -> NDArray[np.float32]:
    """Return a sine, shape (t,), float32."""
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
