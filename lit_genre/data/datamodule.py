"""FMA as a LightningDataModule: finds it, decodes it once, checks what is lost, and serves its splits in batches."""

import hashlib
import math
import os
import shlex
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from lit_genre.batch import Batch, clip_samples
from lit_genre.console import console
from lit_genre.data.dataset import Clip, ClipDataset, EvenClips, RandomClips
from lit_genre.data.fma import SPLITS, Split, Subset, Track, class_names, clip_path, load_tracks
from lit_genre.data.store import PCMStore, store_folder
from lit_genre.data.store_builder import build_store
from lit_genre.errors import LitGenreError, check_at_least

_ARCHIVES: Final = "https://os.unil.cloud.switch.ch/fma"
_LISTED: Final = 10


class FMADataModule(LightningDataModule):
    """The Free Music Archive, or anything in its layout.

    The audio is decoded once, into a store of mono int16 PCM (2 bytes a sample: 10.6 GB for small at 22,050 Hz and
    30 s). Training reads one clip of each track an epoch, from a random place; validation, test and prediction read
    evenly spaced clips that cover the whole track. Prediction reads the test split. Files that cannot be decoded
    are left out and listed; a track shorter than a clip is repeated until it fills it.

    Args:
        root: Folder that holds `fma_metadata/` and `fma_small/` or `fma_medium/`, as unpacked from FMA's archives.
        subset: "small" (8,000 tracks, 8 balanced genres) or "medium" (25,000 tracks, 16 genres).
        sample_rate: Hz. From the command line it follows model.sample_rate, and a value given here is overwritten.
        clip_seconds: Length of a clip, s; null for FMA's whole 30 s. From the command line it follows
            model.clip_seconds, and a value given here is overwritten.
        batch_size: Clips in a batch.
        num_workers: Processes that read batches; null for 4 beside an accelerator and none (reading is fast) on a CPU.
        max_lost: Largest part of a split, 0 to 1, that may be missing or undecodable before the run is refused.
        store_root: Folder for the decoded audio; null for `pcm/` in root.
        seed: Fixes order and place of the training clips; null for PyTorch's seed at the time.

    Raises:
        LitGenreError: The data is not there, cannot be read, or more than max_lost of a split is lost.
    """

    def __init__(
        self,
        root: Path = Path("data"),
        subset: Subset = "small",
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        max_lost: float = 0.05,
        store_root: Path | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least(batch_size=(batch_size, 1), num_workers=(num_workers or 0, 0), max_lost=(max_lost, 0))
        self.root = Path(root).expanduser()
        self.subset = subset
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        self.batch_size = batch_size
        self.num_workers = _default_workers() if num_workers is None else num_workers
        self.max_lost = max_lost
        self.store_folder = _store_folder(self.root, subset, sample_rate, store_root)
        self.seed = torch.initial_seed() if seed is None else seed
        self._store: PCMStore | None = None
        self._reported = False

    @cached_property
    def tracks(self) -> list[Track]:
        """All tracks of the subset, the undecodable ones among them."""
        self._require_data()
        return load_tracks(self.root, self.subset)

    @property
    def classes(self) -> list[str]:
        """Class names, sorted: the label of a clip is a position in this list."""
        return class_names(self.tracks)

    def prepare_data(self) -> None:
        """Decode what is not decoded yet; Lightning calls this in one process of each node."""
        self._store = self._build_store()

    def setup(self, stage: str | None = None) -> None:
        """Open the store, say what is left out, and refuse to go on where too much is."""
        if self._store is None:
            self._store = self._build_store()
        if not self._reported:
            self._report_lost()
            self._reported = True

    def state_dict(self) -> dict[str, Any]:
        """Keep the seed in the checkpoint."""
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the seed of a resumed run, so that it hears the clips it would have heard."""
        self.seed = state_dict["seed"]

    def track(self, track_id: int) -> Track:
        """Find a track by its number."""
        return self._track_of[track_id]

    @cached_property
    def _track_of(self) -> dict[int, Track]:
        return {track.track_id: track for track in self.tracks}

    def waveform(self, track_id: int, seconds: float) -> NDArray[np.int16]:
        """Read the beginning of a track from the store, int16 PCM, shape (n,)."""
        if self._store is None:
            self._store = self._build_store()
        pcm = np.empty(round(seconds * self.sample_rate), dtype=np.int16)
        return pcm[: self._store.read(track_id, 0, pcm)]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Serve one random clip of each training track; one less where it would be a batch of its own."""
        dataset = self._dataset("train")
        sampler = RandomClips(dataset, self.seed)
        if self.trainer is not None:
            # The epoch that Lightning will tell the sampler, but only after the workers of a resumed run have begun
            # to read; current_epoch is still the one before.
            epochs: Any = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(epochs.processed)
        # A last batch of a single clip would stop a network that normalises over the batch.
        clips = math.ceil(len(dataset) / (self.trainer.world_size if self.trainer else 1))
        alone = clips % self.batch_size == 1 < clips
        return self._dataloader(dataset, sampler, drop_last=alone)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Serve clips that cover each validation track; nothing where the data has no such track at all."""
        if not any(track.split == "val" for track in self.tracks):
            console.print("No track is in the val split: this run is not validated, and only its last state is kept.")
            return []
        return self._whole_tracks("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serve clips that cover each test track."""
        return self._whole_tracks("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serve clips that cover each test track."""
        return self._whole_tracks("test")

    def _whole_tracks(self, split: Split) -> DataLoader[Batch]:
        dataset = self._dataset(split)
        return self._dataloader(dataset, EvenClips(dataset))

    def _dataset(self, split: Split) -> ClipDataset:
        assert self._store is not None, "Lightning calls setup() before it asks for data; so should you."
        lost = self._store.failures
        kept = [track for track in self.tracks if track.split == split and track.track_id not in lost]
        if not kept:
            raise LitGenreError(f"{self.root}: no track of the {split} split of FMA {self.subset} can be used.")
        return ClipDataset(self._store, kept, self.classes, self.clip_samples)

    def _dataloader(self, dataset: ClipDataset, sampler: Sampler[Clip], drop_last: bool = False) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            drop_last=drop_last,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=_as_read,
            pin_memory=torch.accelerator.is_available(),
            persistent_workers=self.num_workers > 0,
            # The workers draw no random numbers, and the seed that PyTorch draws for them comes from here,
            # so that the model's random numbers are the same whatever the number of workers.
            generator=torch.Generator(),
        )

    def _build_store(self) -> PCMStore:
        files = {track.track_id: clip_path(self.root, self.subset, track.track_id) for track in self.tracks}
        return build_store(self.store_folder, files, self.sample_rate)

    def _report_lost(self) -> None:
        assert self._store is not None
        lost = self._store.failures
        if not lost:
            return
        for track_id, reason in list(lost.items())[:_LISTED]:
            console.print(f"Left out: track {track_id}, {reason}")
        index = self.store_folder / "index.csv"
        console.print(f"Left out {len(lost)} of {len(self.tracks):,} tracks; each with its reason in {index}")
        for split in SPLITS:
            ids = [track.track_id for track in self.tracks if track.split == split]
            gone = [track_id for track_id in ids if track_id in lost]
            if len(gone) > self.max_lost * len(ids):
                raise LitGenreError(
                    f"{len(gone)} of the {len(ids):,} {split} tracks in {self.root}/fma_{self.subset} cannot be used, "
                    f"more than {self.max_lost:.0%} (track {gone[0]}: {lost[gone[0]]}). Unpack the archive again, or "
                    f"allow it by --data.max_lost={math.ceil(100 * len(gone) / len(ids)) / 100}."
                )

    def _require_data(self) -> None:
        metadata, audio = self.root / "fma_metadata" / "tracks.csv", self.root / f"fma_{self.subset}"
        archives = {"fma_metadata.zip": metadata.is_file(), f"fma_{self.subset}.zip": audio.is_dir()}
        if all(archives.values()):
            return
        root = shlex.quote(str(self.root))
        fetch = "\n".join(
            f"  curl -LO -C - {_ARCHIVES}/{name}\n  python -m zipfile -e {name} {root}"
            for name, there in archives.items()
            if not there
        )
        raise LitGenreError(
            f"No FMA {self.subset} in {self.root.resolve()}: expected the file {metadata} and the folder {audio}.\n"
            f"Fetch it (by Python's zipfile, for the archives are bzip2 inside, which unzip cannot read):\n{fetch}\n"
            "or name the folder it is in by --data.root=FOLDER, or try everything on a small synthetic data set:\n"
            "  lit-genre demo\n"
            "  lit-genre fit --config configs/crnn.yaml --config configs/data/demo.yaml"
        )


def _store_folder(root: Path, subset: Subset, sample_rate: int, store_root: Path | None) -> Path:
    name = f"fma_{subset}"
    if store_root is None:
        return store_folder(root / "pcm", name, sample_rate)
    # Many data sets may share that folder.
    digest = hashlib.sha256(bytes(root.resolve())).hexdigest()[:8]
    return store_folder(Path(store_root).expanduser(), f"{name}-{digest}", sample_rate)


def _default_workers() -> int:
    return min(4, os.cpu_count() or 1) if torch.accelerator.is_available() else 0


def _as_read(batch: Any) -> Any:
    """Pass on what the data set read as a whole batch."""
    return batch
