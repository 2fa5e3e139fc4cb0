"""Train and test a classifier on MFCC statistics, the baseline that a network should beat."""

from typing import Literal

Kind = Literal["svm", "logistic"]
"""A support vector machine with a Gaussian kernel, or logistic regression."""
