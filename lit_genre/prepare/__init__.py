"""Prepare FMA: download, verify, unpack and decode it."""
