"""The folder of a run: its paths, and how its files are written and read."""
