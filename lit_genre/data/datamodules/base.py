"""A data set of tracks with genres as a LightningDataModule: base class of the data sets here and of a user's own."""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from lit_genre.batch import Batch, clip_samples
from lit_genre.console import console
from lit_genre.data.datamodules.audio_tracks import AudioTracks
from lit_genre.data.datamodules.loaders import (
    check_clips_per_step,
    clip_loader,
    current_split,
    default_num_workers,
    epoch_position,
    open_mel_cache,
)
from lit_genre.data.datamodules.training_tracks import read_track_ids
from lit_genre.data.loading.dataset import ClipDataset
from lit_genre.data.loading.device_audio import DeviceAudio
from lit_genre.data.loading.mel_cache import MelCache
from lit_genre.data.loading.samplers import Clip, EvaluationClipSampler, RandomClipSampler
from lit_genre.data.metadata.folds import Fold
from lit_genre.data.metadata.labels import balanced_weights, label_array
from lit_genre.data.metadata.track import Split
from lit_genre.errors import LitGenreError, check_at_least


class TrackDataModule(AudioTracks):
    """Tracks with genres and splits, served as batches of clips.

    The audio is decoded once, into a store of mono int16 PCM. Training reads one clip of each track per epoch, from a
    random position. Validation, test and prediction read evenly spaced clips that cover the whole track; prediction
    uses the test split. Files that cannot be decoded are left out and reported, and so are tracks of which too little
    could be decoded. A track shorter than a clip is repeated until it fills the clip.

    Your own data set is a subclass with `cache_name`, `display_name`, `read_tracks` and `audio_path`.

    Args:
        root: Folder of the data set.
        sample_rate: Sample rate, Hz. From the command line it follows model.sample_rate, and a value given here is
            overwritten.
        clip_seconds: Length of a clip, s; null for FMA's whole 30 s. From the command line it follows
            model.clip_seconds, and a value given here is overwritten.
        batch_size: Number of clips in a batch of one process.
        num_workers: Processes that read batches; null for 4 with an accelerator or on-the-fly decoding, else 0.
        sampling: "uniform" draws each training track once per epoch; "balanced" draws each genre equally often.
        exclude: Files of track ids to leave out, such as `lit-genre audit` writes.
        max_missing_fraction: Largest part of a split, 0 to 1, that may be missing or undecodable; more is refused.
        min_decoded_fraction: Least part of a track, 0 to 1, that must have been decoded. A damaged or truncated track
            with less is left out. Changing this value decodes nothing again.
        decode_once: Whether to keep the decoded audio, 2 bytes per sample, instead of decoding each clip when read.
        store_root: Folder for the decoded audio; null for `pcm/` in root.
        preload: "disk" reads the training split from the disk; "device" loads all of it into the memory of the
            accelerator (8.5 GB for FMA small).
        cache_mel: Whether to keep the spectrograms, for machines without an accelerator. From the second epoch on, the
            front-end is not computed for a clip that was read before. Training clips then start on a grid of a quarter
            of a clip.
        seed: Determines order and positions of the training clips; null for PyTorch's seed at the time.
        fold: Number of a fold of a cross-validation, from 0, whose tracks are tested; null for the data's own splits.
        folds: Number of folds; artists are not divided.
        fold_seed: Seed of the folds.

    Attributes:
        task: "multiclass" for tracks with one genre, "multilabel" for tracks with several.
        hint: Instruction for the user if too many files cannot be used.
        messages: Messages on the data, printed when it is opened.
        is_of_checkpoint: Whether its training and test tracks are those of the checkpoint that was loaded.
    """

    def __init__(
        self,
        root: Path,
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        sampling: Literal["uniform", "balanced"] = "uniform",
        exclude: list[Path] | None = None,
        max_missing_fraction: float = 0.05,
        min_decoded_fraction: float = 0.5,
        decode_once: bool = True,
        store_root: Path | None = None,
        preload: Literal["disk", "device"] = "disk",
        cache_mel: bool = False,
        seed: int | None = None,
        fold: int | None = None,
        folds: int = 5,
        fold_seed: int = 0,
    ) -> None:
        super().__init__(
            root, sample_rate, exclude or [], max_missing_fraction, min_decoded_fraction, decode_once, store_root
        )
        check_at_least(batch_size=(batch_size, 1), num_workers=(num_workers or 0, 0), seed=(seed or 0, 0))
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        self.batch_size = batch_size
        self.num_workers = default_num_workers(decode_once) if num_workers is None else num_workers
        self.sampling = sampling
        self.preload = preload
        self.cache_mel = cache_mel
        # PyTorch's seed is that of seed_everything, which then determines the clips, too.
        self.seed = torch.initial_seed() if seed is None else seed
        self.fold = None if fold is None else Fold(fold, folds, fold_seed)
        self.is_of_checkpoint = True
        self._is_reported = False
        self._clips_per_step: int | None = None
        self._device_audio: DeviceAudio | None = None
        self._caches: dict[Split, MelCache] = {}

    def prepare_data(self) -> None:
        """Decode the tracks that are not decoded yet; Lightning calls this in one process per node."""
        self.open_audio()

    def setup(self, stage: str | None = None) -> None:
        """Open the audio, report missing and incomplete tracks, and refuse the data if too much is missing.

        Raises:
            LitGenreError: More than `max_missing_fraction` of a split is missing.
        """
        # Lightning calls setup once for fit, for validate and for test, but the data is the same.
        if not self._is_reported:
            self.report_audio()
            self._is_reported = True
        if self.trainer is not None:
            # Without a common seed each process has drawn its own, but all must read in one order.
            self.seed = self.trainer.strategy.broadcast(self.seed)

    def teardown(self, stage: str) -> None:
        """Force the cached spectrograms to the disk."""
        for cache in self._caches.values():
            cache.commit()

    def on_exception(self, exception: BaseException) -> None:
        """Force the cached spectrograms to the disk if the run ends with an error."""
        self.teardown("fit")

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores: seed, clips per step of all processes, ids of training and test tracks."""
        return {
            "seed": self.seed,
            "clips_per_step": self.batch_size * self._rank_and_world_size()[1],
            "trained_on": torch.tensor(sorted(self.track_ids("train"))),
            "tests_on": torch.tensor(sorted(self.track_ids("test"))),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the seed, so that a resumed run reads the clips that an uninterrupted one would have read.

        Prints a warning if the model was trained on tracks of the val or test split.

        Raises:
            LitGenreError: The state is damaged.
        """
        seed = state_dict.get("seed")
        # Not isinstance, which would accept True.
        if type(seed) is not int or seed < 0:
            raise LitGenreError(f"The checkpoint is damaged: the seed of its data is {seed!r}, not a whole number.")
        self.seed = seed
        self._clips_per_step = state_dict.get("clips_per_step")
        if "trained_on" in state_dict:
            trained_on, tests_on = (read_track_ids(state_dict.get(name)) for name in ("trained_on", "tests_on"))
            self.is_of_checkpoint = (trained_on, tests_on) == (self.track_ids("train"), self.track_ids("test"))
            self.report_trained_on(trained_on)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return batches of random clips, one of each training track; a last batch of a single clip is left out."""
        dataset = self._dataset("train")
        sampler = RandomClipSampler(
            dataset,
            self.seed,
            self.batch_size,
            *self._rank_and_world_size(),
            weights=balanced_weights(dataset.labels) if self.sampling == "balanced" else None,
            on_grid=self.cache_mel,
        )
        if len(sampler) == 0:
            raise LitGenreError(f"{len(dataset)} training tracks are fewer than the {sampler.num_replicas} processes.")
        if self.trainer is not None:
            epoch, n_batches = epoch_position(self.trainer)
            sampler.set_epoch(epoch)
            if n_batches is not None:
                check_clips_per_step(self._clips_per_step, self.batch_size * sampler.num_replicas)
                sampler.skip(n_batches * self.batch_size)
            if self.preload == "device":
                dataset.reads_samples = False
                self._device_audio = DeviceAudio(dataset, self.trainer.strategy.root_device)
        # Batch normalisation fails on a batch of one clip.
        is_single = len(sampler) % self.batch_size == 1 < len(sampler)
        return clip_loader(dataset, sampler, self.batch_size, self.num_workers, drop_last=is_single)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Return batches of clips that cover each validation track; none if the data has no val split."""
        if not self.has_val:
            if self._rank_and_world_size()[0] == 0:
                console.print("The val split has no track. The run is not validated, and only its last state is kept.")
            # Without a loader, Lightning skips the validation.
            return []
        return self.whole_tracks("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return batches of clips that cover each test track."""
        return self.whole_tracks("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return batches of clips that cover each test track."""
        return self.whole_tracks("test")

    def whole_tracks(self, split: Split, only: Container[int] | None = None, batch_size: int = 0) -> DataLoader[Batch]:
        """Return batches of clips that cover each track of a split, in the order of the tracks.

        Args:
            split: The split.
            only: Ids of the tracks to read; None for all.
            batch_size: Clips in a batch; 0 for that of the training.
        """
        dataset = self._dataset(split)
        clips: Iterable[Clip] = EvaluationClipSampler(dataset, *self._rank_and_world_size())
        if only is not None:
            clips = [clip for clip in clips if int(dataset.track_ids[clip.position]) in only]
        return clip_loader(dataset, clips, batch_size or self.batch_size, self.num_workers)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Fill in samples that are on the device, and spectrograms from the cache.

        Only here does data call the model. With the cache on this side, the samples of cached clips are not read.
        """
        if self._device_audio is not None and batch.mel is None and not batch.waveform.shape[1]:
            assert batch.start is not None
            batch = batch._replace(waveform=self._device_audio.clips(batch.track_id, batch.start))
        assert self.trainer is not None
        if batch.mel is None and (cache := self._caches.get(current_split(self.trainer))):
            batch = batch._replace(mel=cache.complete(batch, self.trainer.lightning_module.spectrogram))  # type: ignore[arg-type]
        return batch

    def _dataset(self, split: Split) -> ClipDataset:
        assert self._source is not None, "Call setup() before a data loader, as Lightning does."
        missing = self.missing_tracks
        usable = [track for track in self.tracks if track.split == split and track.track_id not in missing]
        if not usable:
            raise LitGenreError(f"{self.root}: no track of the {split} split of {self.display_name} can be used.")
        labels = label_array(usable, self.classes, self.task)
        dataset = ClipDataset(self._source, [track.track_id for track in usable], labels, self.clip_samples)
        if self.cache_mel and self.trainer is not None:
            name = f"{split}{self.fold.suffix if self.fold else ''}"
            dataset.cache = self._caches[split] = open_mel_cache(self.trainer, self.store_folder, name, dataset)
        return dataset
