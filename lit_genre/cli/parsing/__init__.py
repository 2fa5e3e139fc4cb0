"""Read the command line: configurations by name, the checkpoint in front of the options, and short errors."""
