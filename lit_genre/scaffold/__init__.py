"""The command `new-backbone`: writes a plugin package to start from."""
