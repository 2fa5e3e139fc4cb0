"""Write figures of matplotlib as PNG files, with texts that matplotlib must not interpret."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lit_genre.text import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that people with any colour vision can tell apart.

Source: M. Okabe and K. Ito, "Color Universal Design: How to Make Figures and Presentations That Are Friendly to
Colorblind People", 2008, without the yellow, which is hardly visible on white.
"""

LINE_STYLES: Final = ("-", "--", ":", "-.")
"""Lines that differ on grey paper, too."""

MAX_PIXELS: Final = 4_000
"""Largest width and height of a picture: browsers and image viewers show it as a whole."""

_DPI: Final = 120


def line_style(index: int) -> dict[str, Any]:
    """Return colour and line style of a line; the first 28 differ, and neighbours differ in both.

    Args:
        index: Number of the line, from 0.

    Returns:
        Arguments of matplotlib's `plot`.
    """
    n_colours = len(COLOURS)
    style = LINE_STYLES[(index + index // n_colours) % len(LINE_STYLES)]
    return {"color": COLOURS[index % n_colours], "linestyle": style}


@contextmanager
def figure(path: Path, width: float, height: float, dpi: int = _DPI) -> "Iterator[Figure]":
    """Create a figure, and write it to a PNG file when the block ends without an error.

    A `$` does not begin a formula. A character that the font lacks is drawn as a box, without a warning; `font.family`
    in a matplotlibrc selects another font. Pass names that come from data through `label`.

    Args:
        path: PNG file to write or to replace.
        width: Width, inches; at most `MAX_PIXELS` pixels are drawn.
        height: Height, inches; likewise.
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
        drawn = Figure(figsize=(min(width, MAX_PIXELS / dpi), min(height, MAX_PIXELS / dpi)), layout="constrained")
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
