"""Tracks with genres as a LightningDataModule: decodes them once, checks what is lost, and serves splits in batches."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Container, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from lit_genre.batch import Batch, Task, clip_samples
from lit_genre.console import console
from lit_genre.data.datamodules.missing import report_incomplete, report_lost
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.device_audio import ResidentPCM
from lit_genre.data.loading.mel_cache import MelCache
from lit_genre.data.loading.samplers import DENSE, Clip, EvenClips, RandomClips
from lit_genre.data.metadata.exclusions import read_drop_lists
from lit_genre.data.metadata.labels import balanced_weights, class_counts, class_names, genres_of, label_array
from lit_genre.data.metadata.track import SPLITS, Split, Track
from lit_genre.data.store.builder import build_store
from lit_genre.data.store.on_the_fly import open_compressed
from lit_genre.data.store.pcm import AudioSource, Entry, store_folder
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.text import one_line

_LISTED: Final = 8


class TrackDataModule(LightningDataModule, ABC):
    """Tracks, each with a genre and a split.

    The audio is decoded once, into a store of mono int16 PCM. Training reads one clip of each track an epoch, from a
    random place; validation, test and prediction read evenly spaced clips that cover the whole track. Prediction reads
    the test split. Files that cannot be decoded are left out and listed, and so are tracks of which too little could be
    decoded. A track shorter than a clip is repeated until it fills it.

    A data set of yours is a subclass with `store_name`, `title`, `read_tracks` and `file_of`.

    Args:
        root: Folder of the data set.
        sample_rate: Hz. From the command line it follows model.sample_rate, and a value given here is overwritten.
        clip_seconds: Length of a clip, s; null for FMA's whole 30 s. From the command line it follows
            model.clip_seconds, and a value given here is overwritten.
        batch_size: Clips in a batch of one process.
        num_workers: Processes that read batches; null for 4 beside an accelerator or where clips are decoded on the
            way, and none (reading is fast) otherwise.
        sampling: "uniform" draws each training track once an epoch; "balanced" draws each genre alike.
        drop: Files of track ids to leave out, such as `lit-genre audit` writes.
        max_lost: Largest part of a split, 0 to 1, that may be missing or undecodable before the run is refused.
        min_decoded_fraction: Least part of a track, 0 to 1, that must have been decoded; a track whose file is damaged
            or cut off so that less is left is left out. Changing it decodes nothing again.
        decode_once: Whether to keep the decoded audio, 2 bytes a sample; else each clip is decoded when it is read.
        store_root: Folder for the decoded audio; null for `pcm/` in root.
        residence: Where the training split is read from: "disk", or "device", where the accelerator's memory has room
            for all of it (8.5 GB for FMA small).
        cache_mel: Keep the spectrograms, for machines without an accelerator: from the second epoch on no front-end is
            computed for a clip that was read before. Training clips then come from places a quarter of a clip apart.
        seed: Fixes order and place of the training clips; null for PyTorch's seed at the time.

    Attributes:
        task: Whether a track has one genre or several.
        remedy: What helps where too many files cannot be used.
        notes: What is to be said of the data when it is opened.
        is_of_checkpoint: Whether its training and test tracks are those of the checkpoint that was loaded.
    """

    task: Task = "single"
    remedy = "Mend or remove these files"

    def __init__(
        self,
        root: Path,
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        sampling: Literal["uniform", "balanced"] = "uniform",
        drop: list[Path] | None = None,
        max_lost: float = 0.05,
        min_decoded_fraction: float = 0.5,
        decode_once: bool = True,
        store_root: Path | None = None,
        residence: Literal["disk", "device"] = "disk",
        cache_mel: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least(batch_size=(batch_size, 1), num_workers=(num_workers or 0, 0), max_lost=(max_lost, 0))
        check_at_least(seed=(seed or 0, 0))
        if not 0 <= min_decoded_fraction <= 1:
            raise LitGenreError(f"min_decoded_fraction is {min_decoded_fraction}, but must be between 0 and 1.")
        self.root = Path(root).expanduser()
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        self.batch_size = batch_size
        self.sampling = sampling
        self.drop = drop or []
        self.max_lost = max_lost
        self.min_decoded_fraction = min_decoded_fraction
        self.decode_once = decode_once
        self.num_workers = _default_workers(decode_once) if num_workers is None else num_workers
        self.store_root = store_root and Path(store_root).expanduser()
        self.residence = residence
        self.cache_mel = cache_mel
        self.seed = torch.initial_seed() if seed is None else seed
        self.notes: list[str] = []
        self.is_of_checkpoint = True
        self._source: AudioSource | None = None
        self._reported = False
        self._clips_a_step: int | None = None
        self._resident: ResidentPCM | None = None
        self._caches: dict[Split, MelCache] = {}

    @property
    @abstractmethod
    def store_name(self) -> str:
        """How its store is called."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What messages call it."""

    @abstractmethod
    def read_tracks(self) -> list[Track]:
        """Read all tracks that have a place in the task, of which there is at least one."""

    @abstractmethod
    def file_of(self, track: Track) -> Path:
        """Tell where the audio of a track lies."""

    @property
    def audio_folder(self) -> Path:
        """Where its audio lies."""
        return self.root

    def name_of(self, track: Track) -> str:
        """Name a track for people."""
        return track.title

    @cached_property
    def store_folder(self) -> Path:
        """Folder of the decoded audio, or of the index of the files."""
        name = self.store_name + ("" if self.decode_once else "-lengths")
        if self.store_root is None:
            return store_folder(self.root / "pcm", name, self.sample_rate)
        # Many data sets may share that folder.
        digest = hashlib.sha256(bytes(self.root.resolve())).hexdigest()[:8]
        return store_folder(self.store_root, f"{name}-{digest}", self.sample_rate)

    @cached_property
    def tracks(self) -> list[Track]:
        """All tracks that have a place in the task and are not dropped, the undecodable ones among them."""
        dropped = read_drop_lists(self.drop)
        tracks = self.read_tracks()
        kept = [track for track in tracks if track.track_id not in dropped]
        if not kept:
            raise LitGenreError(f"The lists {', '.join(map(str, self.drop))} drop all {len(tracks):,} tracks.")
        return kept

    @property
    def classes(self) -> list[str]:
        """Class names, sorted: the label of a clip is a position in this list."""
        return class_names(self.tracks, self.task)

    @property
    def has_val(self) -> bool:
        """Whether any track is in the val split, which a data set may do without."""
        return any(track.split == "val" for track in self.tracks)

    @property
    def class_counts(self) -> list[int]:
        """Training tracks of each class."""
        return class_counts([track for track in self.tracks if track.split == "train"], self.classes, self.task)

    def prepare_data(self) -> None:
        """Decode what is not decoded yet; Lightning calls this in one process of each node."""
        self.open_audio()

    def setup(self, stage: str | None = None) -> None:
        """Open the store, report what is left out or incomplete, and refuse the data if too much is missing."""
        if not self._reported:
            self._report(says=self._process()[0] == 0)
            self._reported = True
        if self.trainer is not None:
            # Where nothing seeded the processes alike, each has drawn its own; all must read in one order.
            self.seed = self.trainer.strategy.broadcast(self.seed)

    def open_audio(self, redecode: Collection[int] = ()) -> AudioSource:
        """Decode what is not decoded yet, and open it.

        Args:
            redecode: Numbers of tracks to decode again although their files did not change.
        """
        if self._source is None or redecode:
            self._source = None  # What is open cannot be deleted.
            files = {track.track_id: self.file_of(track) for track in self.tracks}
            if self.decode_once:
                self._source = build_store(self.store_folder, files, self.sample_rate, redecode=redecode)
            else:
                self._source = open_compressed(self.store_folder, files, self.sample_rate)
        return self._source

    @property
    def missing_tracks(self) -> dict[int, str]:
        """Why tracks cannot be used, by track id; opens the audio."""
        entries = self.open_audio().entries
        return {track_id: reason for track_id, entry in entries.items() if (reason := self._reason(entry))}

    def _reason(self, entry: Entry) -> str:
        """Return why a track cannot be used, "" if it can."""
        if entry.reason or entry.decoded_fraction(self.sample_rate) >= self.min_decoded_fraction:
            return entry.reason
        seconds = entry.n_samples / self.sample_rate
        return (
            f"only {seconds:.1f} of {seconds + entry.seconds_lost:.1f} s could be decoded, less than "
            f"min_decoded_fraction={self.min_decoded_fraction:g} of it"
        )

    def _report(self, says: bool) -> None:
        # First, because reading the tracks adds to the notes.
        missing, index = self.missing_tracks, self.store_folder / "index.csv"
        for note in [*self.notes, *self._absent_genres()] if says else []:
            console.print(one_line(note))
        report_lost(self.tracks, missing, self.name_of, self.audio_folder, index, self.max_lost, self.remedy, says)
        if says:
            self.report_incomplete()

    def report_incomplete(self) -> None:
        """Print how many tracks are used of which a part could not be decoded."""
        missing, index = self.missing_tracks, self.store_folder / "index.csv"
        used = [entry for track_id, entry in self.open_audio().entries.items() if track_id not in missing]
        report_incomplete(self.tracks, used, self.sample_rate, self.name_of, index)

    def _absent_genres(self) -> Iterator[str]:
        """Report genres without a track in a split: a model cannot learn them, or they cannot be scored."""
        present = {(genre, track.split) for track in self.tracks for genre in genres_of(track, self.task)}
        # A data set may do without a validation split at all.
        splits = [split for split in SPLITS if any(track.split == split for track in self.tracks)]
        absent = [f"{genre} ({split})" for genre in self.classes for split in splits if (genre, split) not in present]
        if absent:
            more = f" and {len(absent) - _LISTED:,} more" if len(absent) > _LISTED else ""
            yield f"Genres without a track in a split: {', '.join(absent[:_LISTED])}{more}."

    def teardown(self, stage: str) -> None:
        """Put on the disk what is to be kept there."""
        for cache in self._caches.values():
            cache.commit()

    def on_exception(self, exception: BaseException) -> None:
        """Do so too where the run ends early."""
        self.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """Keep the seed in the checkpoint, how many clips a step has, and which tracks train and test it."""
        return {
            "seed": self.seed,
            "clips_a_step": self.batch_size * self._process()[1],
            "trained_on": torch.tensor(sorted(self.ids_of("train"))),
            "tests_on": torch.tensor(sorted(self.ids_of("test"))),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the seed of a resumed run, so that it reads the clips that it would have read.

        Prints a warning if tracks to be tested are among those that the model was trained on.
        """
        seed = state_dict.get("seed")
        if type(seed) is not int or seed < 0:
            raise LitGenreError(f"The checkpoint is damaged: its seed of the data is {seed!r}, not a whole number.")
        self.seed = seed
        self._clips_a_step = state_dict.get("clips_a_step")
        if "trained_on" in state_dict:
            trained_on, tests_on = _ids(state_dict["trained_on"]), _ids(state_dict.get("tests_on"))
            self.is_of_checkpoint = (trained_on, tests_on) == (self.ids_of("train"), self.ids_of("test"))
            self.report_heard(trained_on)

    def ids_of(self, split: Split) -> set[int]:
        """Tell the numbers of the tracks of a split."""
        return {track.track_id for track in self.tracks if track.split == split}

    def report_heard(self, trained_on: set[int]) -> None:
        """Print a warning if a model was trained on tracks of the val or test split, by their numbers."""
        for split in ("val", "test") if self._process()[0] == 0 else ():
            ids = self.ids_of(split)
            if known := ids & trained_on:
                console.print(
                    f"Warning: the model was trained on {len(known):,} of the {len(ids):,} {split} tracks, by their "
                    f"numbers ({self.name_of(self.track(min(known)))}): its score is too high. Were they split anew "
                    "since?",
                )

    def track(self, track_id: int) -> Track:
        """Find a track by its number."""
        return self._track_of[track_id]

    @cached_property
    def _track_of(self) -> dict[int, Track]:
        return {track.track_id: track for track in self.tracks}

    def waveform(self, track_id: int, seconds: float) -> NDArray[np.int16]:
        """Read the beginning of a track, int16 PCM, shape (n,)."""
        pcm = np.empty(round(seconds * self.sample_rate), dtype=np.int16)
        return pcm[: self.open_audio().read(track_id, 0, pcm)]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Serve one random clip of each training track; one less where it would be a batch of its own."""
        dataset = self._dataset("train")
        sampler = RandomClips(
            dataset,
            self.seed,
            self.batch_size,
            *self._process(),
            weights=balanced_weights(dataset.labels) if self.sampling == "balanced" else None,
            even=self.cache_mel,
        )
        if len(sampler) == 0:
            raise LitGenreError(f"{len(dataset)} training tracks are fewer than the {sampler.num_replicas} processes.")
        if self.trainer is not None:
            # The epoch that Lightning will tell the sampler, but only after the workers of a resumed run have begun
            # to read; current_epoch is still the one before.
            loop: Any = self.trainer.fit_loop
            epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress
            stopped_inside = epochs.started > epochs.processed
            over = stopped_inside and batches.is_last_batch
            sampler.set_epoch(epochs.processed + over)
            if stopped_inside and not over:
                self._check_share(sampler.num_replicas)
                sampler.skip(batches.current.processed * self.batch_size)
            if self.residence == "device":
                dataset.reads_samples = False
                self._resident = ResidentPCM(dataset, self.trainer.strategy.root_device)
        # A last batch of a single clip would stop a network that normalises over the batch.
        alone = len(sampler) % self.batch_size == 1 < len(sampler)
        return self._dataloader(dataset, sampler, drop_last=alone)

    def _check_share(self, world_size: int) -> None:
        """Refuse to go on inside an epoch with batches of another size: clips would be left out or read twice."""
        before, now = self._clips_a_step, self.batch_size * world_size
        if before not in (None, now):
            raise LitGenreError(
                f"The run was stopped inside an epoch of {before} clips a step, and would go on with {now}: keep "
                "data.batch_size times the number of processes."
            )

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Serve clips that cover each validation track; nothing where the data has no such track at all."""
        if not self.has_val:
            if self._process()[0] == 0:
                console.print("No track is in the val split: this run is not validated, only its last state is kept.")
            return []
        return self.whole_tracks("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Serve clips that cover each test track."""
        return self.whole_tracks("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Serve clips that cover each test track."""
        return self.whole_tracks("test")

    def whole_tracks(self, split: Split, only: Container[int] | None = None) -> DataLoader[Batch]:
        """Serve clips that cover each track of a split, or some of them by number, in the order of the tracks."""
        dataset = self._dataset(split)
        clips: Iterable[Clip] = EvenClips(dataset, *self._process())
        if only is not None:
            clips = [clip for clip in clips if int(dataset.track_ids[clip.position]) in only]
        return self._dataloader(dataset, clips)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bring the samples that wait on the device, and the spectrograms that are to be kept."""
        start = batch.start
        assert start is not None
        if self._resident is not None and batch.mel is None and not batch.waveform.shape[1]:
            batch = batch._replace(waveform=self._resident.clips(batch.track_id, start))
        if batch.mel is None and (cache := self._caches.get(self._current_split())):
            batch = batch._replace(mel=self._complete(cache, batch))
        return batch

    def _complete(self, cache: MelCache, batch: Batch) -> Tensor:
        """Compute the spectrograms of a batch that are not kept yet, and keep them; shape (b, m, f)."""
        assert self.trainer is not None
        assert batch.start is not None
        mel, kept = cache.read_kept(batch.track_id.tolist(), batch.start.tolist())
        new = ~kept
        with torch.no_grad():
            waveform = batch.waveform[new.to(batch.waveform.device)]
            found = self.trainer.lightning_module.spectrogram(waveform)  # type: ignore[operator]
        cache.keep(batch.track_id[new].tolist(), batch.start[new].tolist(), found)
        # As it will be read again, so that it does not matter in which epoch a run was stopped.
        mel[new] = found.half().cpu()
        return mel.to(batch.waveform.device)

    def _current_split(self) -> Split:
        assert self.trainer is not None
        if self.trainer.training:
            return "train"
        return "test" if self.trainer.testing or self.trainer.predicting else "val"

    def _process(self) -> tuple[int, int]:
        """Tell the number of this process, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _dataset(self, split: Split) -> ClipDataset:
        assert self._source is not None, "Lightning calls setup() before it asks for data; so should you."
        missing = self.missing_tracks
        kept = [track for track in self.tracks if track.split == split and track.track_id not in missing]
        if not kept:
            raise LitGenreError(f"{self.root}: no track of the {split} split of {self.title} can be used.")
        labels = label_array(kept, self.classes, self.task)
        dataset = ClipDataset(self._source, [track.track_id for track in kept], labels, self.clip_samples)
        if self.cache_mel and self.trainer is not None:
            key, shape = self.trainer.lightning_module.spectrogram_identity()  # type: ignore[operator]
            dataset.cache = MelCache(
                self.store_folder.parent / "mel",
                f"{self.store_folder.name}-{split}",
                key,
                dataset,
                dataset.sources,
                shape,
                DENSE if split == "train" else 0.0,
            )
            self._caches[split] = dataset.cache
        return dataset

    def _dataloader(self, dataset: ClipDataset, sampler: Iterable[Clip], drop_last: bool = False) -> DataLoader[Batch]:
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


def trained_tracks(checkpoint: dict[str, Any]) -> set[int] | None:
    """Tell the tracks, by their numbers, that a checkpoint was trained on; None where it does not say so."""
    # Each class of data has its state under its name.
    states = (part for part in checkpoint.values() if isinstance(part, dict) and "trained_on" in part)
    state = next(states, None)
    return _ids(state["trained_on"]) if state else None


def _ids(value: Any) -> set[int]:
    """Read the ids of tracks that a checkpoint stores."""
    if not isinstance(value, Tensor) or value.ndim != 1 or value.is_floating_point():
        raise LitGenreError("The checkpoint is damaged: it stores no track ids where they are expected.")
    return set(value.tolist())


def _default_workers(decode_once: bool) -> int:
    return min(4, os.cpu_count() or 1) if torch.accelerator.is_available() or not decode_once else 0


def _as_read(batch: Any) -> Any:
    """Pass on what the data set read as a whole batch."""
    return batch


def __getattr__(name: str) -> Any:
    """Find FMADataModule where the configurations of earlier runs name it, so that these can be gone on with."""
    if name != "FMADataModule":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lit_genre.data.datamodules.fma import FMADataModule

    return FMADataModule
