"""The Free Music Archive (FMA) as a LightningDataModule."""

from pathlib import Path
from typing import Any

from lit_genre.batch import Task
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.fma import clip_path, load_tracks, tracks_path
from lit_genre.data.metadata.fma_genres import genres_path
from lit_genre.data.metadata.labels import genres_of
from lit_genre.data.metadata.track import Subset, Track
from lit_genre.errors import LitGenreError
from lit_genre.text import shell_argument


class FMADataModule(TrackDataModule):
    """The Free Music Archive, or a data set in its layout.

    The decoded audio takes 2 bytes per sample: 10.6 GB for small at 22,050 Hz and 30 s.

    Args:
        root: Folder that has `fma_metadata/` and `fma_<subset>/`, as `lit-genre prepare` leaves them.
        subset: "small" (8,000 tracks, 8 balanced genres), "medium" (25,000 tracks, 16 genres), "large" (106,574 tracks,
            161 genres, 30 s of each) or "full" (the same tracks in their whole length).
        task: "multiclass" uses the root genre of tracks that have exactly one. "multilabel" uses all genres of a track
            and their ancestors. The model follows it.
        decode_once: Whether to keep the decoded audio; if false, each clip is decoded when it is read. null keeps it
            for all subsets but full, where it would take 1.3 TB.
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: The data is not there, cannot be read, or more than max_missing_fraction of a split is missing.

    Reference:
        Defferrard, Benzi, Vandergheynst and Bresson, "FMA: A Dataset for Music Analysis", ISMIR 2017.
    """

    hint = "Unpack the archive again"

    def __init__(
        self,
        root: Path = Path("data"),
        subset: Subset = "small",
        task: Task = "multiclass",
        decode_once: bool | None = None,
        **options: Any,
    ) -> None:
        # Decoded, the full subset takes 1.3 TB, more than most disks have.
        decode_once = subset != "full" if decode_once is None else decode_once
        super().__init__(root, decode_once=decode_once, **options)
        self.subset: Subset = subset
        self.task: Task = task

    @property
    def cache_name(self) -> str:
        """Name of the data set in the names of its store and caches."""
        return f"fma_{self.subset}"

    @property
    def display_name(self) -> str:
        """Name of the data set in messages."""
        return f"FMA {self.subset}"

    @property
    def audio_folder(self) -> Path:
        """Folder of the audio files."""
        return self.root / f"fma_{self.subset}"

    def read_tracks(self) -> list[Track]:
        """Read the tracks of the subset that have a label in the task."""
        # First, because the error of a missing CSV file would not show how to get the data.
        self._require_data()
        tracks = [track for track in load_tracks(self.root, self.subset) if genres_of(track, self.task)]
        if not tracks:
            # Without genres.csv, no track has genres for the multilabel task.
            path = genres_path(self.root)
            reason = "" if path.exists() else f": {path}, which has the names of the genres, does not exist"
            raise LitGenreError(f"{self.root}: no track of FMA {self.subset} has a genre for task {self.task}{reason}.")
        return tracks

    def audio_path(self, track: Track) -> Path:
        """Return the path of the audio file of a track.

        Args:
            track: The track.
        """
        return clip_path(self.root, self.subset, track.track_id)

    def track_name(self, track: Track) -> str:
        """Return the number of a track, by which FMA identifies it."""
        return f"track {track.track_id}"

    def _require_data(self) -> None:
        """Raise an error that explains how to get the data if there is no metadata or audio."""
        metadata, audio = tracks_path(self.root), self.audio_folder
        if metadata.is_file() and audio.is_dir():
            return
        prepare = f"lit-genre prepare --subset {self.subset} --root {shell_argument(str(self.root))}"
        raise LitGenreError(
            f"No FMA {self.subset} in {self.root.resolve()}: expected the file {metadata} and the folder {audio}.\n"
            f"Download, verify, unpack and decode it:\n  {prepare}\n"
            "or name the folder it is in by --data.root=FOLDER, or try everything on a small synthetic data set:\n"
            "  lit-genre demo\n"
            "  lit-genre fit --config crnn --config data/demo"
        )
