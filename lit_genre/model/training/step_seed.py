"""Seed each training step, independently of the steps before it."""

import numpy as np
import torch


def seed_step(seed: int, epoch: int, rank: int, step: int, device: torch.device) -> None:
    """Seed torch's generators from (seed, epoch, rank, step), so that a resumed run draws the same numbers.

    Args:
        seed: Seed of the run.
        epoch: Number of the epoch.
        rank: Number of the process.
        step: Number of the batch in the epoch, from 0 on.
        device: Device of the model, whose generator is seeded as well.
    """
    state = int(np.random.SeedSequence((seed, epoch, rank, step)).generate_state(1, np.uint64)[0])
    # Not torch.manual_seed: it formats a stack trace for each missing kind of device, which takes longer than seeding.
    torch.default_generator.manual_seed(state)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(state)
