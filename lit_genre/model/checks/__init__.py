"""Check data, losses, probabilities and weights, and warn about batch normalisation in several processes."""
