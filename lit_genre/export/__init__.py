"""From one checkpoint to files that need no lit-genre: ONNX, torch.export, and the Hugging Face Hub's format."""
