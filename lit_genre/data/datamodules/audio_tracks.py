"""Tracks of a data set and access to their audio: which tracks there are, where their audio is, which are missing."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from lit_genre.batch import Task
from lit_genre.console import console
from lit_genre.data.datamodules.missing import (
    check_missing_fraction,
    describe_absent_genres,
    find_missing_tracks,
    report_incomplete_tracks,
    report_missing_tracks,
)
from lit_genre.data.datamodules.training_tracks import describe_training_overlap
from lit_genre.data.metadata.exclusions import read_exclusions
from lit_genre.data.metadata.folds import Fold, assign_fold
from lit_genre.data.metadata.labels import class_counts, class_names
from lit_genre.data.metadata.track import SPLITS, Split, Track
from lit_genre.data.store.builder import build_store
from lit_genre.data.store.index import index_path, store_folder
from lit_genre.data.store.on_the_fly import open_on_the_fly
from lit_genre.data.store.pcm import AudioSource
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.text import one_line


class AudioTracks(LightningDataModule, ABC):
    """The part of `TrackDataModule` that reads tracks and opens their audio; see there for the arguments."""

    task: Task = "multiclass"
    # Data sets that come from an archive override it.
    hint = "Repair or remove these files"
    fold: Fold | None = None

    def __init__(
        self,
        root: Path,
        sample_rate: int,
        exclude: Sequence[Path],
        max_missing_fraction: float,
        min_decoded_fraction: float,
        decode_once: bool,
        store_root: Path | None,
    ) -> None:
        super().__init__()
        check_at_least(max_missing_fraction=(max_missing_fraction, 0))
        if not 0 <= min_decoded_fraction <= 1:
            raise LitGenreError(f"min_decoded_fraction is {min_decoded_fraction}, but must be between 0 and 1.")
        self.root = Path(root).expanduser()
        self.sample_rate = sample_rate
        self.exclude = exclude
        self.max_missing_fraction = max_missing_fraction
        self.min_decoded_fraction = min_decoded_fraction
        self.decode_once = decode_once
        self.store_root = store_root and Path(store_root).expanduser()
        self.messages: list[str] = []
        self._source: AudioSource | None = None

    @property
    @abstractmethod
    def cache_name(self) -> str:
        """Name of the data set in the names of its store and caches."""

    @property
    @abstractmethod
    def display_name(self) -> str:
        """Name of the data set in messages."""

    @abstractmethod
    def read_tracks(self) -> list[Track]:
        """Read all tracks that have a label in the task, at least one."""

    @abstractmethod
    def audio_path(self, track: Track) -> Path:
        """Return the path of the audio file of a track, whether it exists or not.

        Args:
            track: The track.
        """

    @property
    def audio_folder(self) -> Path:
        """Folder of the audio files."""
        return self.root

    def track_name(self, track: Track) -> str:
        """Return the name of a track for messages."""
        return track.title

    @cached_property
    def store_folder(self) -> Path:
        """Folder of the decoded audio, or of the index of the files."""
        name = self.cache_name + ("" if self.decode_once else "-lengths")
        if self.store_root is None:
            return store_folder(self.root / "pcm", name, self.sample_rate)
        # Several data sets may share store_root, so the name contains a hash of the data set's own folder.
        digest = hashlib.sha256(bytes(self.root.resolve())).hexdigest()[:8]
        return store_folder(self.store_root, f"{name}-{digest}", self.sample_rate)

    @cached_property
    def tracks(self) -> list[Track]:
        """All tracks that have a label in the task and are not excluded, including those that cannot be decoded."""
        excluded = read_exclusions(self.exclude)
        tracks = self.read_tracks()
        # Undecodable tracks stay in the list, so that the classes do not depend on the version of the decoder.
        kept = [track for track in tracks if track.track_id not in excluded]
        if not kept:
            raise LitGenreError(f"The lists {', '.join(map(str, self.exclude))} exclude all {len(tracks):,} tracks.")
        if self.fold is None:
            return kept
        folded = assign_fold(kept, self.fold)
        sizes = ", ".join(f"{sum(track.split == split for track in folded):,} {split}" for split in SPLITS)
        self.messages.append(f"Fold {self.fold.number} of {self.fold.n_folds}, with its own split by artist: {sizes}")
        return folded

    @property
    def classes(self) -> list[str]:
        """Class names, sorted; the label of a clip is a position in this list."""
        return class_names(self.tracks, self.task)

    @property
    def class_counts(self) -> list[int]:
        """Number of training tracks of each class."""
        return class_counts([track for track in self.tracks if track.split == "train"], self.classes, self.task)

    @property
    def has_val(self) -> bool:
        """Whether the val split has a track; a data set may have no val split."""
        return any(track.split == "val" for track in self.tracks)

    def track_ids(self, split: Split) -> set[int]:
        """Return the ids of the tracks of a split."""
        return {track.track_id for track in self.tracks if track.split == split}

    @property
    def artist_ids(self) -> dict[int, int]:
        """Id of the artist of each track, -1 if it is unknown, by track id."""
        return {track.track_id: track.artist_id for track in self.tracks}

    def track(self, track_id: int) -> Track:
        """Return the track with an id."""
        return self._tracks_by_id[track_id]

    @cached_property
    def _tracks_by_id(self) -> dict[int, Track]:
        return {track.track_id: track for track in self.tracks}

    def open_audio(self, redecode: Collection[int] = ()) -> AudioSource:
        """Decode the tracks that are not decoded yet, and open the audio.

        Args:
            redecode: Ids of tracks to decode again although their files did not change.

        Raises:
            LitGenreError: The store cannot be written, or its index is damaged.
        """
        if self._source is None or redecode:
            # An open file of samples cannot be deleted, so the old source is closed first.
            self._source = None
            files = {track.track_id: self.audio_path(track) for track in self.tracks}
            if self.decode_once:
                self._source = build_store(self.store_folder, files, self.sample_rate, redecode=redecode)
            else:
                self._source = open_on_the_fly(self.store_folder, files, self.sample_rate)
        return self._source

    def waveform(self, track_id: int, seconds: float) -> NDArray[np.int16]:
        """Read the beginning of a track.

        Args:
            track_id: Id of the track.
            seconds: Length to read, s; a shorter track is read to its end.

        Returns:
            int16 PCM, shape (n,), full scale 32768.
        """
        # Reading from the source works for decoded audio and for compressed files.
        pcm = np.empty(round(seconds * self.sample_rate), dtype=np.int16)
        return pcm[: self.open_audio().read(track_id, 0, pcm)]

    @property
    def missing_tracks(self) -> dict[int, str]:
        """Why tracks cannot be used, by track id; opens the audio."""
        # Computed from the index each time, so that another min_decoded_fraction decodes nothing again.
        return find_missing_tracks(self.open_audio().entries, self.sample_rate, self.min_decoded_fraction)

    def report_audio(self) -> None:
        """Print messages on the data and on missing and incomplete tracks.

        Only one process prints; all check.

        Raises:
            LitGenreError: More than `max_missing_fraction` of a split is missing.
        """
        # First, because reading the tracks adds to the messages.
        missing = self.missing_tracks
        if self._is_rank_zero:
            for message in [*self.messages, describe_absent_genres(self.tracks, self.task)]:
                if message:
                    console.print(one_line(message))
            report_missing_tracks(self.tracks, missing, self.track_name, index_path(self.store_folder))
        # After the report, so that a user sees which tracks are missing before the error.
        check_missing_fraction(
            self.tracks, missing, self.track_name, self.audio_folder, self.max_missing_fraction, self.hint
        )
        if self._is_rank_zero:
            self.report_incomplete()

    def report_incomplete(self) -> None:
        """Print how many of the used tracks could be decoded only in part."""
        missing = self.missing_tracks
        used = [entry for track_id, entry in self.open_audio().entries.items() if track_id not in missing]
        report_incomplete_tracks(self.tracks, used, self.sample_rate, self.track_name, index_path(self.store_folder))

    def report_trained_on(self, trained_on: set[int]) -> None:
        """Print a warning if a model was trained on tracks of the val or test split.

        Args:
            trained_on: Ids of the tracks that the model was trained on.
        """
        if self._is_rank_zero:
            for warning in describe_training_overlap(self.tracks, trained_on, self.track_name):
                console.print(warning)

    def _rank_and_world_size(self) -> tuple[int, int]:
        """Return the number of this process and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    @property
    def _is_rank_zero(self) -> bool:
        """Whether this is the process that prints messages."""
        return self._rank_and_world_size()[0] == 0
