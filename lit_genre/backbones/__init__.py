"""The networks that ship, each found by its entry point like anyone's own."""
