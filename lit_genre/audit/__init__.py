"""Check a data set for errors: artists in several splits, duplicates, silence, short clips and doubtful labels."""
