"""A user's own music with known genres as a LightningDataModule: one folder a genre, or listed in a CSV file."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.metadata.audio_files import describe_left_out, readable
from lit_genre.data.metadata.folders import Untagged, add_tags, find_genres
from lit_genre.data.metadata.manifest import MIN_GENRES, Song, read_songs
from lit_genre.data.metadata.saved_split import number_of, number_songs, read_kept, write_songs
from lit_genre.data.metadata.splits import GroupBy, artist_groups, leaks, split_songs
from lit_genre.data.metadata.track import SPLITS, Track
from lit_genre.data.store.lock import locked
from lit_genre.errors import LitGenreError, check_at_least

_NAMED: Final = 5


class FolderDataModule(TrackDataModule):
    """A folder of music with one folder in it for each genre, or a list of files with their genres.

    Any format that libsndfile or FFmpeg decodes; folders within a genre's folder, too. Left out are hidden files and
    folders (".name"), the folders of a system (its trash, previews of a network disk) and files that are not audio by
    their names; a note counts them. If nothing says which song is for training, validation and test, the songs are
    split here, once: 80, 10 and 10 % of each genre, with all songs of an artist on one side. The split is written next
    to the decoded audio as a list that csv takes, with the numbers that the songs have in test.csv; songs that are
    added later do not change it for the others, and songs that are away for a while keep theirs.

    All spellings of an artist count as one artist ("The X" and "X, The", accents, quotes, hyphens). So do songs that
    share an artist, as "A feat. B" and "B" do, an album artist or a MusicBrainz id. "Various Artists" and the like are
    nobody.

    Args:
        path: Folder with a folder for each genre; with csv the folder that the paths in it start from, null for that of
            the list.
        csv: List of the songs: a CSV file with the columns path and genre, and, if you like, split (train, val, test),
            artist, title, album_artist and musicbrainz_artistid; separated by comma, semicolon or tab.
        group_by: Where no split is given, "artist" puts all songs of an artist on one side. Artists are those of csv,
            or of the files' tags; a song without is dealt by itself. "track" takes no notice of artists, and scores may
            then be too high.
        split_seed: Another one gives another split.
        min_tracks_per_genre: Leave out genres with fewer songs; a note names them.
        store_root: Folder for the decoded audio and for the split.
        **options: Those of TrackDataModule.

    Raises:
        LitGenreError: There is no such folder or list, a line of the list has a fault, a genre has too few songs or
            artists, fewer than two genres are left, or more than max_lost of a split is lost.
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
            raise LitGenreError("Which music? Name a folder by --data.path=FOLDER, or a list by --data.csv=LIST.")
        super().__init__(root, store_root=store_root, **options)
        self.group_by: GroupBy = group_by
        self.split_seed = split_seed
        self.min_tracks_per_genre = min_tracks_per_genre
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
        if self.csv:
            songs = read_songs(self.csv, self.root)
        else:
            songs, left_out = find_genres(self.root)
            self.notes += describe_left_out(left_out)
        songs = self._leave_out_small_genres(songs)
        if any(song.split for song in songs):
            self.notes += _faults_of(songs)
            made = "given"
        else:
            songs = self._find_artists(songs)
            made = f"{self.group_by}-{self.split_seed}"
        songs, away, numbers = self._list(songs, made)
        self._path_of = {numbers[song.path]: song.path for song in songs}
        # Those that are away are part of the groups by which the songs were split.
        groups = artist_groups([*songs, *away])
        return [_track(song, numbers[song.path], group) for song, group in zip(songs, groups, strict=False)]

    def file_of(self, track: Track) -> Path:
        """Tell where the audio of a track lies."""
        return self.root / self._path_of[track.track_id]

    def name_of(self, track: Track) -> str:
        """Name a track by its place in the folder."""
        return readable(self._path_of[track.track_id])

    def _leave_out_small_genres(self, songs: list[Song]) -> list[Song]:
        """Leave out genres with fewer than `min_tracks_per_genre` songs."""
        counts = Counter(song.genre for song in songs)
        small = sorted(genre for genre, count in counts.items() if count < self.min_tracks_per_genre)
        if not small:
            return songs
        if len(counts) - len(small) < MIN_GENRES:
            largest = counts.most_common(MIN_GENRES)
            raise LitGenreError(
                f"--data.min_tracks_per_genre={self.min_tracks_per_genre} leaves out {len(small)} of the {len(counts)} "
                f"genres in {self.csv or self.root}, and {MIN_GENRES} are the least that can be told apart. "
                f"It can be at most {largest[-1][1]}, the number of songs in {largest[-1][0]!r}."
            )
        named = [f"{genre} ({counts[genre]:,} song{'s' * (counts[genre] != 1)})" for genre in small]
        self.notes.append(f"Left out by min_tracks_per_genre={self.min_tracks_per_genre}: {_some(named)}")
        return [song for song in songs if counts[song.genre] >= self.min_tracks_per_genre]

    def _find_artists(self, songs: list[Song]) -> list[Song]:
        if self.group_by == "track":
            return songs
        songs, untagged = add_tags(self.root, songs)
        self.notes += _describe_untagged(untagged, len(songs))
        return songs

    def _list(self, songs: list[Song], made: str) -> tuple[list[Song], list[Song], dict[str, int]]:
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
                self.notes += _describe_moved(songs, [*kept, *kept_away])
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
        return songs, away, numbers


def _track(song: Song, number: int, artist_group: str) -> Track:
    assert song.split is not None
    artist_id = number_of(artist_group) if artist_group else -1
    title = song.title or readable(song.path)
    return Track(number, song.split, song.genre, (song.genre,), title, artist_id, song.artist, album_id=-1)


def _describe_untagged(untagged: Untagged, n_songs: int) -> Iterator[str]:
    """Say of how many songs the artist is not known, why, and what helps in this case."""
    names = [repr(name) for name, _ in untagged.names_of_nobody.most_common()]
    reasons = [
        f"{count:,} {reason}"
        for count, reason in (
            (untagged.n_without, "without a tag of an artist"),
            (untagged.names_of_nobody.total(), f"with a tag that names nobody ({_some(names)})"),
            (untagged.n_unreadable, "of which the tags cannot be read"),
        )
        if count
    ]
    if reasons:
        n_unknown = untagged.n_without + untagged.names_of_nobody.total() + untagged.n_unreadable
        tags = "tags of artists in those without, or " if untagged.n_without else ""
        yield (
            f"The artist of {n_unknown:,} of the {n_songs:,} songs is not known: {', '.join(reasons)}. Each of them is "
            "dealt by itself: if songs of one artist come to training and to test, scores are too high. "
            f"What helps: {tags}a column artist in a list, --data.csv=LIST."
        )


def _describe_moved(songs: list[Song], kept: list[Song]) -> Iterator[str]:
    """Say which songs have another split than the kept one."""
    split_of = {song.path: song.split for song in kept}
    moved = [song for song in songs if split_of.get(song.path, song.split) != song.split]
    if moved:
        artists = list(dict.fromkeys(song.artist for song in moved))
        yield (
            f"{len(moved):,} of the songs changed their split: songs of one artist, in any spelling or by a song "
            f"together, were in several splits, and come to the one that most of them are in: {_some(artists)}"
        )


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
