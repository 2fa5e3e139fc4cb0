"""Your own music with known genres as a LightningDataModule: one folder per genre, or a CSV list of files."""

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.datamodules.split_messages import (
    describe_artist_overlap,
    describe_moved,
    describe_untagged,
)
from lit_genre.data.metadata.audio_files import describe_left_out, readable
from lit_genre.data.metadata.folders import add_tags, scan_genre_folders
from lit_genre.data.metadata.manifest import MIN_GENRES, ManifestEntry, read_manifest
from lit_genre.data.metadata.saved_split import assign_track_ids, read_saved_split, stable_id, write_saved_split
from lit_genre.data.metadata.splits import GroupBy, artist_groups, assign_splits, first_names
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.data.store.lock import locked
from lit_genre.errors import LitGenreError, check_at_least


class FolderDataModule(TrackDataModule):
    """A folder of music with one folder for each genre, or a list of files with their genres.

    Reads any format that libsndfile or FFmpeg decodes, in all subfolders of a genre's folder. Hidden files and folders
    (".name"), folders of the system (its trash, previews of a network disk) and files without the suffix of an audio
    format are left out; a message counts them.

    If the list has no splits, the songs are split once: 80, 10 and 10 % of each genre for training, validation and
    test, with all songs of an artist in one split. The split is saved next to the decoded audio as a list that `csv`
    accepts, with the track ids that test.csv uses. Songs that are added later do not change the split of the others.
    Songs that are absent for a while keep their split.

    All spellings of an artist count as one artist ("The X" and "X, The", accents, quotes, hyphens). So do songs that
    share an artist, as "A feat. B" and "B" do, an album artist or a MusicBrainz id. "Various Artists" and similar names
    count as unknown.

    Args:
        path: Folder with a folder for each genre. With csv, the folder that its paths are relative to; null for the
            folder of the list.
        csv: List of the songs: a CSV file with the columns path and genre, and optionally split (train, val, test),
            artist, title, album_artist and musicbrainz_artistid; separated by comma, semicolon or tab.
        group_by: "artist" puts all songs of an artist in one split. Artists come from csv, or from the tags of the
            files; a song without an artist is split by itself. "track" ignores artists, and the score may then be
            optimistic. Has no effect if csv has splits.
        split_seed: Seed of the split.
        min_tracks_per_genre: Leave out genres with fewer songs; a message names them.
        store_root: Folder for the decoded audio and for the split.
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: There is no such folder or list, a line of the list has an error, a genre has too few songs or
            artists, fewer than two genres are left, or more than max_missing_fraction of a split is missing.
    """

    def __init__(
        self,
        path: Path | None = None,
        csv: Path | None = None,
        group_by: GroupBy = "artist",
        split_seed: int = 0,
        min_tracks_per_genre: int = 0,
        store_root: Path = Path("data/pcm"),
        **options: Any,
    ) -> None:
        check_at_least(split_seed=(split_seed, 0), min_tracks_per_genre=(min_tracks_per_genre, 0))
        self.csv = csv and Path(csv).expanduser()
        root = path or (self.csv and self.csv.parent)
        if root is None:
            raise LitGenreError("No music is given. Name a folder by --data.path=FOLDER, or a list by --data.csv=LIST.")
        super().__init__(root, store_root=store_root, **options)
        self.group_by: GroupBy = group_by
        self.split_seed = split_seed
        self.min_tracks_per_genre = min_tracks_per_genre
        self._paths_by_id: dict[int, str] = {}

    @property
    def cache_name(self) -> str:
        """Name of the data set in the names of its store and caches."""
        return _file_name(self.root.resolve())

    @property
    def display_name(self) -> str:
        """Name of the data set in messages."""
        return "these songs"

    def read_tracks(self) -> list[Track]:
        """Scan the folder or read the list, and split the songs if they are not split yet."""
        if self.csv:
            entries = read_manifest(self.csv, self.root)
        else:
            entries, left_out = scan_genre_folders(self.root)
            self.messages += describe_left_out(left_out)
        entries = self._leave_out_small_genres(entries)
        if any(entry.split for entry in entries):
            self.messages += describe_artist_overlap(entries)
            split = self._save_given_split(entries)
        else:
            split = self._split(self._add_artists(entries))
        self._paths_by_id = {split.track_ids[entry.path]: entry.path for entry in split.entries}
        # Absent songs belong to the groups by which the others were split.
        groups = artist_groups([*split.entries, *split.absent])
        return [
            # The groups of the absent songs come last and are not needed.
            _track(entry, split.track_ids[entry.path], group)
            for entry, group in zip(split.entries, groups, strict=False)
        ]

    def audio_path(self, track: Track) -> Path:
        """Return the path of the audio file of a track.

        Args:
            track: The track.
        """
        return self.root / self._paths_by_id[track.track_id]

    def track_name(self, track: Track) -> str:
        """Return the path of a track in the folder, for messages."""
        return readable(self._paths_by_id[track.track_id])

    def _leave_out_small_genres(self, entries: list[ManifestEntry]) -> list[ManifestEntry]:
        """Leave out genres with fewer than `min_tracks_per_genre` songs."""
        counts = Counter(entry.genre for entry in entries)
        small = sorted(genre for genre, count in counts.items() if count < self.min_tracks_per_genre)
        if not small:
            return entries
        if len(counts) - len(small) < MIN_GENRES:
            largest = counts.most_common(MIN_GENRES)
            raise LitGenreError(
                f"--data.min_tracks_per_genre={self.min_tracks_per_genre} leaves out {len(small)} of the {len(counts)} "
                f"genres in {self.csv or self.root}, but a classifier needs at least {MIN_GENRES}. The value can be at "
                f"most {largest[-1][1]}, the number of songs in {largest[-1][0]!r}."
            )
        names = [f"{genre} ({counts[genre]:,} song{'s' * (counts[genre] != 1)})" for genre in small]
        self.messages.append(f"Left out by min_tracks_per_genre={self.min_tracks_per_genre}: {first_names(names)}")
        return [entry for entry in entries if counts[entry.genre] >= self.min_tracks_per_genre]

    def _add_artists(self, entries: list[ManifestEntry]) -> list[ManifestEntry]:
        if self.group_by == "track":
            return entries
        entries, untagged = add_tags(self.root, entries)
        self.messages += describe_untagged(untagged, len(entries))
        return entries

    def _save_given_split(self, entries: list[ManifestEntry]) -> "_SplitManifest":
        """Save the list of songs with given splits, with their track ids."""
        path, _ = self._split_paths("given")
        track_ids = assign_track_ids(entry.path for entry in entries)
        with locked(path.parent):
            # An unchanged list keeps its time of modification.
            if entries != read_saved_split(path):
                write_saved_split(path, entries, track_ids)
        self._report_split(entries, path)
        return _SplitManifest(entries, [], track_ids)

    def _split(self, entries: list[ManifestEntry]) -> "_SplitManifest":
        """Split the songs, those of the saved split as before, and save the split with the track ids."""
        path, absent_path = self._split_paths(f"{self.group_by}-{self.split_seed}")
        with locked(path.parent):
            # Under the lock: two runs that start at once must not write different splits.
            saved, saved_absent = read_saved_split(path), read_saved_split(absent_path)
            entries = assign_splits(entries, self.group_by, self.split_seed, [*saved, *saved_absent])
            self.messages += describe_moved(entries, [*saved, *saved_absent])
            present = {entry.path for entry in entries}
            absent = [entry for entry in (*saved, *saved_absent) if entry.path not in present]
            track_ids = assign_track_ids(entry.path for entry in (*entries, *absent))
            for list_path, new, old in ((path, entries, saved), (absent_path, absent, saved_absent)):
                if new != old:
                    write_saved_split(list_path, new, track_ids)
        note = f"; {len(absent):,} are absent and keep their split, listed in {absent_path}" if absent else ""
        self._report_split(entries, path, note)
        return _SplitManifest(entries, absent, track_ids)

    def _split_paths(self, kind: str) -> tuple[Path, Path]:
        """Return the paths of the lists of present and of absent songs, and create their folder."""
        source = (self.csv or self.root).resolve()
        # Several folders of one name may share store_root, so the name contains a hash of the whole path.
        name = f"{_file_name(source)}-{hashlib.sha256(bytes(source)).hexdigest()[:8]}-{kind}"
        assert self.store_root is not None
        self.store_root.mkdir(parents=True, exist_ok=True)
        return self.store_root / f"{name}.csv", self.store_root / f"{name}-absent.csv"

    def _report_split(self, entries: list[ManifestEntry], path: Path, absent: str = "") -> None:
        counts = Counter(entry.split for entry in entries)
        sizes = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
        self.messages.append(f"Songs: {sizes}, listed in {path}{absent}")


class _SplitManifest(NamedTuple):
    """Songs with their splits.

    Attributes:
        entries: Songs that are present.
        absent: Songs of the saved split whose files are absent.
        track_ids: Track id of each song of both lists, by its path.
    """

    entries: list[ManifestEntry]
    absent: list[ManifestEntry]
    track_ids: dict[str, int]


def _track(entry: ManifestEntry, track_id: int, artist_group: str) -> Track:
    assert entry.split is not None
    artist_id = stable_id(artist_group) if artist_group else -1
    title = entry.title or readable(entry.path)
    return Track(track_id, entry.split, entry.genre, (entry.genre,), title, artist_id, entry.artist, album_id=-1)


def _file_name(path: Path) -> str:
    """Return the name of a folder or list with only characters that any file system accepts."""
    return re.sub(r"[^\w.-]+", "_", readable(path.stem)) or "music"
