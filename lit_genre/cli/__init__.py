"""The command line: LightningCLI, options before they are parsed, and what a checkpoint adds to them."""
