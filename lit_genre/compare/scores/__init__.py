"""Score the models of a comparison: runs grouped by their data, confidence intervals, and tests of differences."""
