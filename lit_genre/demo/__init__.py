"""Write a small synthetic data set in FMA's format, to try the software without a download."""
