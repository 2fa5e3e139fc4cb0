"""Export a checkpoint as ONNX, as a torch.export program, or as a folder in the Hugging Face Hub's format."""
