"""Load a trained model and predict the genres of audio files with it."""
