"""Read clips of tracks as tensors: data sets, samplers, and streams of whole files."""
