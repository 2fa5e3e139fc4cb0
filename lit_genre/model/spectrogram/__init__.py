"""Compute the input of a backbone: mel spectrograms, their augmentation, and extra channels."""
