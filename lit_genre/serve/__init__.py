"""From one checkpoint to a page, and an address, that anyone can try it on."""
