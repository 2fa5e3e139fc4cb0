"""A head on the embeddings of a frozen backbone: what a backbone has learnt already, for minutes instead of hours."""
