"""The command `new-backbone`, and the template of the package that it writes."""
