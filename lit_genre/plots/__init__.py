"""Draw the plots of a run and of a comparison."""
