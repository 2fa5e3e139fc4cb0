"""The command `compare`: runs of several configurations and seeds, and a report on them."""
