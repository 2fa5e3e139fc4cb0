"""Anyone's music with known genres as a LightningDataModule: in a folder for each genre, or listed in a CSV file."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lit_genre.data.datamodule import TrackDataModule
from lit_genre.data.genre_folders import find_genres, read_tags, songs_beside
from lit_genre.data.kept_list import number_of, number_songs, read_kept, write_songs
from lit_genre.data.lock import locked
from lit_genre.data.music_files import readable
from lit_genre.data.song_list import Song, read_songs
from lit_genre.data.songs import decode_any
from lit_genre.data.splits import GroupBy, artist_key, leaks, split_songs
from lit_genre.data.track import SPLITS, Track
from lit_genre.errors import LitGenreError, check_at_least

_NAMED: Final = 5


class FolderDataModule(TrackDataModule):
    """A folder of music with one folder in it for each genre, or a list of files with their genres.

    Any format that libsndfile reads, and what FFmpeg reads where it is installed; folders within a genre's folder, too.
    Where nothing says which song is for training, validation and test, that is decided here, once: 80, 10 and 10 % of
    each genre, with all songs of an artist on one side. The split is written beside the decoded audio as a list
    that csv takes, with the numbers that the songs have in test.csv; songs that are added later do not change
    it for the others, and songs that are away for a while keep theirs.

    Args:
        path: Folder with a folder for each genre; with csv the folder that the paths in it start from, null for that of
            the list.
        csv: List of the songs: a CSV file with the columns path and genre, and, if you like, split (train, val, test),
            artist and title; separated by comma, semicolon or tab.
        group_by: Where no split is given, "artist" puts all songs of an artist on one side. Artists are those of csv,
            or of the files' tags; a song without is dealt by itself. "track" takes no notice of artists, and scores may
            then be too high.
        split_seed: Another one gives another split.
        store_root: Folder for the decoded audio and for the split.
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: There is no such folder or list, a line of the list has a fault, a genre has too few songs or
            artists, or more than max_lost of a split is lost.
    """

    decoder = staticmethod(decode_any)

    def __init__(
        self,
        path: Path | None = None,
        csv: Path | None = None,
        group_by: GroupBy = "artist",
        split_seed: int = 0,
        store_root: Path = Path("data/pcm"),
        **options: Any,
    ) -> None:
        check_at_least(split_seed=(split_seed, 0))
        self.csv = csv and Path(csv).expanduser()
        root = path or (self.csv and self.csv.parent)
        if root is None:
            raise LitGenreError("Which music? Name a folder by --data.path=FOLDER, or a list by --data.csv=LIST.")
        super().__init__(root, store_root=store_root, **options)
        self.group_by: GroupBy = group_by
        self.split_seed = split_seed
        self._path_of: dict[int, str] = {}

    @property
    def store_name(self) -> str:
        """How its store is called."""
        return _as_name(self.root.resolve())

    @property
    def title(self) -> str:
        """What messages call it."""
        return "these songs"

    def read_tracks(self) -> list[Track]:
        """Read the folder, or the list, and see to the split."""
        songs = read_songs(self.csv, self.root) if self.csv else find_genres(self.root)
        if self.csv is None and (beside := songs_beside(self.root)):
            self.notes.append(f"Left out: {beside:,} of the songs, in {self.root} itself and not in a genre's folder")
        if any(song.split for song in songs):
            self.notes += _faults_of(songs)
            made = "given"
        else:
            songs = self._find_artists(songs)
            made = f"{self.group_by}-{self.split_seed}"
        songs, numbers = self._list(songs, made)
        self._path_of = {number: path for path, number in numbers.items()}
        return [_track(song, numbers[song.path]) for song in songs]

    def file_of(self, track: Track) -> Path:
        """Tell where the audio of a track lies."""
        return self.root / self._path_of[track.track_id]

    def name_of(self, track: Track) -> str:
        """Name a track by its place in the folder."""
        return readable(self._path_of[track.track_id])

    def _find_artists(self, songs: list[Song]) -> list[Song]:
        if self.group_by == "track":
            return songs
        songs = read_tags(self.root, songs)
        if unknown := sum(not song.artist for song in songs):
            self.notes.append(
                f"The artist of {unknown:,} of the {len(songs):,} songs is not known, and each of them is dealt by "
                "itself: where songs of one artist come to training and to test, scores are too high. What helps are "
                "artist tags in the files, or a column artist in a list: --data.csv=LIST."
            )
        return songs

    def _list(self, songs: list[Song], made: str) -> tuple[list[Song], dict[str, int]]:
        """Split the songs, as they were the last time where they were, and keep the list of them with their numbers."""
        source = self.csv or self.root
        digest = hashlib.sha256(bytes(source.resolve())).hexdigest()[:8]
        assert self.store_root is not None
        name = f"{_as_name(source.resolve())}-{digest}-{made}"
        path, away_path = (self.store_root / f"{name}{end}.csv" for end in ("", "-away"))
        self.store_root.mkdir(parents=True, exist_ok=True)
        with locked(self.store_root):
            kept, kept_away = read_kept(path), read_kept(away_path)
            away: list[Song] = []
            if made != "given":
                songs = split_songs(songs, self.group_by, self.split_seed, [*kept, *kept_away])
                here = {song.path for song in songs}
                away = [song for song in (*kept, *kept_away) if song.path not in here]
            numbers = number_songs(song.path for song in (*songs, *away))
            for list_path, listed, before in ((path, songs, kept), (away_path, away, kept_away)):
                if listed != before:
                    write_songs(list_path, listed, numbers)
        counts = Counter(song.split for song in songs)
        sizes = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
        others = f"; {len(away):,} are away and keep their split, listed in {away_path}" if away else ""
        self.notes.append(f"Songs: {sizes}, listed in {path}{others}")
        return songs, numbers


def _track(song: Song, number: int) -> Track:
    assert song.split is not None
    artist = artist_key(song.artist)
    artist_id = number_of(artist) if artist else -1
    title = song.title or readable(song.path)
    return Track(number, song.split, song.genre, (song.genre,), title, artist_id, song.artist, album_id=-1)


def _faults_of(songs: list[Song]) -> Iterator[str]:
    """Say what may be wrong with a split that was given."""
    if leaking := [f"{artist} ({', '.join(splits)})" for artist, splits in leaks(songs).items()]:
        yield f"Artists in more than one split, by which scores may be too high: {_some(leaking)}."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _as_name(path: Path) -> str:
    """Make a name of a folder's or list's that any disk takes."""
    return re.sub(r"[^\w.-]+", "_", readable(path.stem)) or "music"
