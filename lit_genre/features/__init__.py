"""Classical audio features of tracks, which `lit_genre.baseline` and `lit_genre.audit` share."""

from typing import Literal

Features = Literal["mfcc", "mfcc+spectral"]
"""MFCCs with their deltas, or these with spectral contrast and spectral centroid."""
