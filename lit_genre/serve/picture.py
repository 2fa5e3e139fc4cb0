"""Encode a spectrogram as a PNG inside a data URL."""

import base64
import io

import numpy as np
from numpy.typing import NDArray


def encode_png_url(spectrogram: NDArray[np.float32]) -> str:
    """Encode a spectrogram as a data URL of a PNG.

    Args:
        spectrogram: Values 0 to 1, float32, shape (m, columns), low bands first.

    Returns:
        The URL. The picture has one pixel for each value, with low bands at the bottom.
    """
    # Imported here, because matplotlib takes long to import and only the server needs it.
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, spectrogram, vmin=0, vmax=1, cmap="magma", origin="lower", format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
