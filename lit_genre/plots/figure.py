"""A figure of matplotlib that shows any text as it is, and becomes a PNG."""

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
    """Yield a figure, and write it to a PNG file when the block ends without an error.

    A `$` does not begin a formula, and a character that the font lacks is drawn as a box without a warning. Another
    font is chosen by `font.family` in a matplotlibrc. Names from outside pass through `label`.

    Args:
        path: PNG to write.
        width: Width, inches.
        height: Height, inches.
        dpi: Pixels an inch.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Around the writing too, for matplotlib makes the texts of an axis only then.
    with rc_context({"text.parse_math": False, "text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        drawn = Figure(figsize=(width, height), layout="constrained")
        yield drawn
        drawn.savefig(path, dpi=dpi)


def label(name: str) -> str:
    """Return a name as a picture shows it: on one line, cut where it is long."""
    text = shorten(name)
    # A legend leaves out what begins with an underscore.
    return f" {text}" if text.startswith("_") else text
