"""Train a network: losses, optimisers and schedules, fine-tuning, numerical precision, and a seed for each step."""
