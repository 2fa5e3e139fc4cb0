"""The logger of Weights & Biases."""
