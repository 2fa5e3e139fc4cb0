"""Classical audio features of tracks, which `lit_genre.baseline` and `lit_genre.audit` share."""
