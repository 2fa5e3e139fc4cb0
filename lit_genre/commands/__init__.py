"""The command line: a light module for each command, with its parser; the work is imported when it begins."""
