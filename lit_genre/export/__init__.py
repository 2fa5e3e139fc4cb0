"""Export a checkpoint as ONNX, as a torch.export program, or as a folder in the Hugging Face Hub's format."""

from typing import Final

SUFFIXES: Final = {"onnx": ".onnx", "torch_export": ".pt2", "hub": "", "web": ""}
"""Suffix of a file, for each format; those of the Hub and of the page are folders."""

TOLERANCES: Final = {"float32": 1e-4, "float16": 0.01, "int8": 0.1}
"""Largest allowed difference of a probability, for each type of the weights in a file.

In float32, other kernels sum in another order, which changes a probability by about 1e-6. In the seven baseline
networks, rounded weights change it by up to 0.001 in float16 and 0.06 in int8. A wrong operator changes it by far more.
"""
