"""Simulate how often confidence intervals of an accuracy contain it, with artists as clusters and without.

    python benchmarks/interval_coverage.py --simulations 2000

Each artist has an accuracy of its own, drawn from a beta distribution, and 1 to 2 s - 1 tracks.
"""

import argparse

import numpy as np
from scipy.stats import binomtest

from lit_genre.cluster_statistics import accuracy_interval

SETTINGS = [(17, 5, 0.4), (17, 5, 0.1), (40, 3, 0.3), (100, 4, 0.3), (300, 2, 0.2), (80, 1, 0.0)]
"""Number of artists, mean number of tracks of an artist, correlation of two tracks of an artist."""

ACCURACIES = (0.5, 0.8, 0.95)


def main() -> None:
    """Print a row for each setting: coverage of the interval by artist, and of Wilson's over tracks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print("artists  tracks each  correlation  accuracy  by artist  over tracks")
    for n_artists, size, correlation in SETTINGS:
        for accuracy in ACCURACIES:
            covered = np.zeros(2)
            for _ in range(options.simulations):
                by_artist = np.full(n_artists, accuracy)
                if correlation:
                    shape = (1 - correlation) / correlation
                    by_artist = random.beta(accuracy * shape, (1 - accuracy) * shape, n_artists)
                artists = np.repeat(np.arange(n_artists), random.integers(1, 2 * size, n_artists))
                correct = random.random(len(artists)) < by_artist[artists]
                clustered = accuracy_interval(correct, artists)
                independent = binomtest(int(correct.sum()), len(correct)).proportion_ci(method="wilson")
                covered += [
                    clustered.low <= accuracy <= clustered.high,
                    independent.low <= accuracy <= independent.high,
                ]
            rates = covered / options.simulations
            print(f"{n_artists:7} {size:12} {correlation:12} {accuracy:9} {rates[0]:10.1%} {rates[1]:12.1%}")


if __name__ == "__main__":
    main()
