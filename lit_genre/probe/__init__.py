"""Train a head on the embeddings of a frozen backbone, which takes minutes instead of hours."""
