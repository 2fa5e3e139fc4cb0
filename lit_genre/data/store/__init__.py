"""Store decoded audio on disk, or decode clips from the compressed files on the fly."""
