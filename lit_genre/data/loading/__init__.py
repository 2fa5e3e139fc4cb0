"""Clips as tensors: data sets, samplers, and streams of whole files."""
