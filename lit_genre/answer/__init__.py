"""From one checkpoint to answers about anyone's music."""
