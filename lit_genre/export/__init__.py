"""Export a checkpoint as ONNX, as a torch.export program, or as a folder in the Hugging Face Hub's format."""

from typing import Final

SUFFIXES: Final = {"onnx": ".onnx", "torch_export": ".pt2", "hub": ""}
"""Suffix of a file, for each format; the Hub's format is a folder."""
