"""A page, and an address for programs, to try a model on."""
