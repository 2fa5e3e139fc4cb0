"""The accelerator side of the path: from a batch of waveforms to logits and scores. Knows nothing of files."""
