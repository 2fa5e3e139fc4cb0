"""What no network should lose to: statistics of MFCCs, and a classifier of scikit-learn."""
