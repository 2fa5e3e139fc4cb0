"""Train and test a classifier on MFCC statistics, the baseline that a network should beat."""
