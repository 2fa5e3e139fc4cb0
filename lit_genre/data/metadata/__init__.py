"""Read the metadata of tracks: genres, splits, artists, and the paths of their audio."""
