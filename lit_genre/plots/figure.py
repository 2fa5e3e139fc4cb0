"""Write figures of matplotlib as PNG files, with texts that matplotlib must not interpret."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lit_genre.text import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def figure(path: Path, width: float, height: float, dpi: int = 120) -> "Iterator[Figure]":
    """Create a figure, and write it to a PNG file when the block ends without an error.

    A `$` does not begin a formula. A character that the font lacks is drawn as a box, without a warning; `font.family`
    in a matplotlibrc selects another font. Pass names that come from data through `label`.

    Args:
        path: PNG file to write or to replace.
        width: Width, inches.
        height: Height, inches.
        dpi: Pixels per inch.

    Yields:
        The empty figure.

    Raises:
        OSError: The file cannot be written.
    """
    # Imported here, because matplotlib takes long to import and most commands draw nothing.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # These settings must hold during savefig, too, because matplotlib creates the tick labels there.
    with rc_context({"text.parse_math": False, "text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        drawn = Figure(figsize=(width, height), layout="constrained")
        yield drawn
        drawn.savefig(path, dpi=dpi)


def label(name: str) -> str:
    """Return a name for a plot: on one line, shortened in its middle if it is long.

    Args:
        name: Name of a genre, a run or a model.

    Returns:
        At most `lit_genre.text.SHORT` characters, after a space if the name begins with an underscore.
    """
    text = shorten(name)
    # Matplotlib leaves a label that begins with an underscore out of the legend.
    return f" {text}" if text.startswith("_") else text
