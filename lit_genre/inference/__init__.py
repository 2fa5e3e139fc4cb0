"""Predict a user's files with a trained model: load it, run it, write tables, and find similar songs."""

from pathlib import Path
from typing import Final

FORMATS: Final = {".csv": "csv", ".jsonl": "json"}
"""Format of the table of predictions, by the suffix of its file; JSON has one object a line."""

STDOUT: Final = Path("-")
"""Value of --output that means the standard output."""
