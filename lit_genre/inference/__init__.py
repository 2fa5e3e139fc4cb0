"""A trained model's predictions of audio files."""
