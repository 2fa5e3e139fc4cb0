"""Decode audio files of any format to mono PCM, and report what of a file could not be decoded."""
