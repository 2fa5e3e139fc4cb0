"""Backbones whose networks and weights are those of published packages."""
