"""Build the DataLoaders of a data module, and find where inside an epoch a resumed run continues."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from lit_genre.batch import Batch
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.mel_cache import MelCache
from lit_genre.data.loading.samplers import GRID_OVERLAP, Clip
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError


class EpochPosition(NamedTuple):
    """Where a training run continues.

    Attributes:
        epoch: Number of the epoch, from 0 on.
        n_batches: Number of batches of this epoch that are done; None if the epoch has not begun.
    """

    epoch: int
    n_batches: int | None


def epoch_position(trainer: Trainer) -> EpochPosition:
    """Return where a training run continues, from the progress that Lightning restored from a checkpoint.

    Lightning passes the epoch to the sampler only after the workers of a resumed run have begun to read, and
    `current_epoch` is still the epoch before.

    Args:
        trainer: Trainer of the run, at the beginning of an epoch.
    """
    loop: Any = trainer.fit_loop
    epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress
    stopped_inside = epochs.started > epochs.processed
    # A run that stopped after the last batch of an epoch, and before its end, continues with the next epoch.
    is_over = stopped_inside and batches.is_last_batch
    n_batches = batches.current.processed if stopped_inside and not is_over else None
    return EpochPosition(epochs.processed + is_over, n_batches)


def current_split(trainer: Trainer) -> Split:
    """Return the split that a trainer is reading; prediction reads the test split."""
    if trainer.training:
        return "train"
    return "test" if trainer.testing or trainer.predicting else "val"


def check_clips_per_step(before: int | None, now: int) -> None:
    """Refuse to resume inside an epoch with batches of another size: clips would be left out or read twice.

    Args:
        before: Number of clips of all processes in a step, before the run was stopped; None if it is unknown.
        now: The same number now.

    Raises:
        LitGenreError: The numbers differ.
    """
    if before not in (None, now):
        raise LitGenreError(
            f"The run was stopped inside an epoch with {before} clips per step, and cannot be resumed with {now}. "
            "Keep the product of data.batch_size and the number of processes."
        )


def clip_loader(
    dataset: ClipDataset, sampler: Iterable[Clip], batch_size: int, num_workers: int, drop_last: bool = False
) -> DataLoader[Batch]:
    """Build a DataLoader that reads whole batches of clips.

    Args:
        dataset: The tracks.
        sampler: The clips, in the order in which they are read.
        batch_size: Number of clips in a batch.
        num_workers: Number of processes that read; 0 to read in this process.
        drop_last: Whether to leave out a last batch that is not full.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        drop_last=drop_last,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=_identity,
        pin_memory=_can_pin_memory(),
        persistent_workers=num_workers > 0,
        # The workers draw no random numbers, and the seed that PyTorch draws for them comes from this generator. So the
        # model's random numbers are the same whatever the number of workers.
        generator=torch.Generator(),
    )


def _can_pin_memory() -> bool:
    """Return whether batches can be copied faster from page-locked memory: not to Apple's GPUs, which share memory."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator is not None and accelerator.type != "mps"


def open_mel_cache(trainer: Trainer, store: Path, name: str, dataset: ClipDataset) -> MelCache:
    """Open the cached spectrograms of a split.

    Args:
        trainer: The Trainer, whose model has the front-end.
        store: Folder of the decoded audio.
        name: Name of the split, and of its fold.
        dataset: The tracks.
    """
    # The key is in the name of the cache, so that a cache never has spectrograms of another front-end.
    key, shape = trainer.lightning_module.frontend_cache_key()  # type: ignore[operator]
    overlap = GRID_OVERLAP if name.startswith("train") else 0.0
    return MelCache(store.parent / "mel", f"{store.name}-{name}", key, dataset, dataset.sources, shape, overlap)


def default_num_workers(decode_once: bool) -> int:
    """Return the default number of processes that read batches.

    With an accelerator, four processes prepare batches while it computes. On a CPU, reading decoded audio takes less
    time than passing it between processes.

    Args:
        decode_once: Whether clips are read from decoded audio; decoding them on the fly takes long.
    """
    return min(4, os.cpu_count() or 1) if torch.accelerator.is_available() or not decode_once else 0


def _identity(batch: Any) -> Any:
    """Return the batch: the data set reads a whole batch at once, so there is nothing to collate."""
    return batch
