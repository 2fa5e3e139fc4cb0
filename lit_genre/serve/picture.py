"""Encodes a spectrogram as a picture that is part of the answer."""

import base64
import io

import numpy as np
from numpy.typing import NDArray


def encode_png_url(spectrogram: NDArray[np.float32]) -> str:
    """Encode a spectrogram as a data URL of a PNG.

    Args:
        spectrogram: Shape (m, columns), 0 to 1, low bands first.

    Returns:
        The URL; the picture has low bands at the bottom.
    """
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, spectrogram, vmin=0, vmax=1, cmap="magma", origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
