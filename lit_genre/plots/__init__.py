"""Draw the pictures of a run and of a comparison."""
