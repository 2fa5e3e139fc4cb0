"""The backbones of this package. Each is found by its entry point, as the backbones of other packages are."""
