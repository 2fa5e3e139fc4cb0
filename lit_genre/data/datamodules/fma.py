"""FMA as a LightningDataModule."""

from pathlib import Path
from typing import Any

from lit_genre.batch import Task
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.datamodules.missing import require_data
from lit_genre.data.metadata.fma import Subset, clip_path, load_tracks
from lit_genre.data.metadata.fma_genres import genres_path
from lit_genre.data.metadata.labels import genres_of
from lit_genre.data.metadata.track import Track
from lit_genre.errors import LitGenreError


class FMADataModule(TrackDataModule):
    """The Free Music Archive, or anything in its layout.

    The decoded audio takes 2 bytes a sample: 10.6 GB for small at 22,050 Hz and 30 s.

    Args:
        root: Folder that holds `fma_metadata/` and `fma_<subset>/`, as `lit-genre prepare` leaves them.
        subset: "small" (8,000 tracks, 8 balanced genres), "medium" (25,000 tracks, 16 genres), "large" (106,574 tracks,
            161 genres, 30 s of each) or "full" (the same tracks, whole).
        task: "single" is the root genre, of tracks with exactly one; "multi" is all genres of a track, each of which
            implies its ancestors. The model follows it.
        decode_once: Whether to keep the decoded audio; else each clip is decoded when it is read. null for yes, except
            for full, of which it would be 1.3 TB.
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: The data is not there, cannot be read, or more than max_lost of a split is lost.
    """

    remedy = "Unpack the archive again"

    def __init__(
        self,
        root: Path = Path("data"),
        subset: Subset = "small",
        task: Task = "single",
        decode_once: bool | None = None,
        **options: Any,
    ) -> None:
        decode_once = subset != "full" if decode_once is None else decode_once
        super().__init__(root, decode_once=decode_once, **options)
        self.subset: Subset = subset
        self.task: Task = task

    @property
    def store_name(self) -> str:
        """How its store is called."""
        return f"fma_{self.subset}"

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"FMA {self.subset}"

    @property
    def audio_folder(self) -> Path:
        """Where its audio lies."""
        return self.root / f"fma_{self.subset}"

    def read_tracks(self) -> list[Track]:
        """Read the tracks of the subset that have a place in the task."""
        require_data(self.root, self.subset)
        tracks = [track for track in load_tracks(self.root, self.subset) if genres_of(track, self.task)]
        if not tracks:
            missing = genres_path(self.root)
            why = "" if missing.exists() else f": {missing}, which names the genres, is not there"
            raise LitGenreError(f"{self.root}: no track of FMA {self.subset} has a genre for task {self.task}{why}.")
        return tracks

    def file_of(self, track: Track) -> Path:
        """Tell where the audio of a track lies."""
        return clip_path(self.root, self.subset, track.track_id)

    def name_of(self, track: Track) -> str:
        """Name a track by its number, as FMA does."""
        return f"track {track.track_id}"
