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

MARKERS: Final = ("o", "^", "s", "v", "x")
"""Markers of lines. Their number has no factor in common with that of the line styles and that of the colours."""

SEQUENTIAL: Final = "Greys"
"""Colour map of shares, from white to black: its lightness is monotonic, and paper shows it as a screen does."""

DARK: Final = 0.6
"""Share from which white text has more contrast on `SEQUENTIAL` than black text."""

MAX_LINES: Final = 20
"""Lines that can be told apart without their colours: each pair of a line style and a marker occurs once."""

MAX_PIXELS: Final = 4_000
"""Largest width and height of a picture: browsers and image viewers show it as a whole."""

_DPI: Final = 120

MAX_INCHES: Final = MAX_PIXELS / _DPI
"""Largest width and height of a picture at the resolution of `figure`, inches."""


def line_style(index: int) -> dict[str, Any]:
    """Return colour, line style and marker of a line; neighbours differ in all of them.

    Args:
        index: Number of the line, from 0. The first 20 differ without colour, the first 140 with it.

    Returns:
        Arguments of matplotlib's `plot`.
    """
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 5,
        # Ten markers on the diagonal of the axes, each line with another offset, so that they seldom overlap.
        "markevery": (0.02 * (index % len(MARKERS)), 0.1),
    }


@contextmanager
def figure(path: Path, width: float, height: float) -> "Iterator[Figure]":
    """Create a figure, and write it to a PNG file when the block ends without an error.

    A `$` does not begin a formula. A character that the font lacks is drawn as a box, without a warning; `font.family`
    in a matplotlibrc selects another font. Pass names that come from data through `label`.

    Args:
        path: PNG file to write or to replace.
        width: Width, inches; at most `MAX_PIXELS` pixels are drawn.
        height: Height, inches; likewise.

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
        drawn = Figure(figsize=(min(width, MAX_INCHES), min(height, MAX_INCHES)), layout="constrained")
        yield drawn
        drawn.savefig(path, dpi=_DPI)


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
