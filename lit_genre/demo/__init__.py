"""A small synthetic data set in FMA's format, to try everything without a download."""
