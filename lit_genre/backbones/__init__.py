"""The networks that ship, each found by its entry point, as a user's own is."""
