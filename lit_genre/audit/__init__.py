"""What is wrong with a data set: leaks, duplicates, silence, short clips and doubtful labels."""
