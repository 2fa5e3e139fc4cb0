"""The backbones of this package. Each is found by its entry point, as the backbones of other packages are."""

from dataclasses import dataclass
from typing import Final

GROUP: Final = "lit_genre.backbones"
"""Group of the entry points of backbones."""


@dataclass
class BackboneEntry:
    """A row of `lit-genre backbones`.

    Attributes:
        name: Name of the class.
        package: Package that it comes from.
        version: Version of the package.
        summary: First line of its docstring.
        takes: "mel" or "waveform".
        embedding_dim: Size of its embedding.
        parameters: Number of parameters.
        macs: Multiply-accumulates for a clip of 30 s.
        error: Why values are missing; "" if none is.
    """

    name: str
    package: str
    version: str
    summary: str = ""
    takes: str = ""
    embedding_dim: int | None = None
    parameters: int | None = None
    macs: int | None = None
    error: str = ""
