"""What is known of each track: its genre, split and artist, and where its audio is."""
