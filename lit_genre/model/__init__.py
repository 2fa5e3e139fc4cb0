"""From a batch of waveforms to logits and scores, on the device; reads and writes no files."""
