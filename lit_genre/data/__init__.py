"""The CPU side of the path: from files on disk to a batch of int16 waveforms. Knows nothing of models."""
