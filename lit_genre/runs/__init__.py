"""Write, find and read the folders of runs."""
