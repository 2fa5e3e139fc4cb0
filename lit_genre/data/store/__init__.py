"""Decoded audio on the disk, and clips read straight from compressed files."""
