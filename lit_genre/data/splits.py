"""Split songs into training, validation and test so that no artist is in two of them.

Networks learn how an artist's recordings sound, and recognise them: with artists on both sides, scores are too high.

Reference: Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

from lit_genre.data.song_list import Song
from lit_genre.data.track import SPLITS, Split
from lit_genre.errors import LitGenreError

GroupBy = Literal["artist", "track"]
SHARES: Final[dict[Split, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}

_ABSENT: Final = 10.0
"""What a genre without a track in a split costs; a split of the wrong size costs at most 2."""

_BY_HAND: Final = "say the split of each song in a list: --data.csv=LIST"

_NOBODY: Final = frozenset(("unknown artist", "unknown", "various artists", "various", "va"))
"""What programs write where they know no artist, or where there are many."""

_GAIN: Final = 1e-9
"""Least gain that a group is moved for: rounding errors would move it for ever."""


def split_songs(songs: list[Song], group_by: GroupBy, seed: int, kept: Iterable[Song] = ()) -> list[Song]:
    """Give each song a split: 80 % of each genre for training, 10 % for validation, 10 % for test.

    By "artist" all songs of an artist are in one split, and each genre is in all three. A song without an artist is
    a group of its own. The split follows from the songs and the seed, in whatever order they come.

    Args:
        songs: The songs.
        group_by: "artist", or "track" to take no notice of artists.
        seed: Another one gives another split.
        kept: Songs whose splits are decided, these and others that are away: songs that come later join their artists,
            or fill what is short.

    Raises:
        LitGenreError: A genre has too few artists, or tracks, for three splits.
    """
    groups: dict[str, list[Song]] = defaultdict(list)
    for song in songs:
        groups[_group_of(song, group_by)].append(song)
    counts = {name: Counter(song.genre for song in members) for name, members in groups.items()}
    for genre, n_groups in Counter(genre for count in counts.values() for genre in count).items():
        if n_groups < len(SPLITS):
            raise LitGenreError(_too_few(genre, n_groups, group_by))
    decided = {name: split for name, split in _decided(songs, group_by, kept).items() if name in groups}
    split_of = _Deal(counts, decided).deal(sorted(counts.keys() - decided, key=lambda name: _draw(seed, name)))
    songs = [replace(song, split=split_of[_group_of(song, group_by)]) for song in songs]
    for genre, split in absences(songs):
        raise LitGenreError(
            f"The {group_by}s of the genre {genre!r} could not be split so that it and all others have tracks in "
            f"{', '.join(SPLITS)}: it has none in {split}. Try --data.split_seed={seed + 1}, or {_BY_HAND}."
        )
    return songs


def artist_key(artist: str) -> str:
    """Bring the spellings of an artist's name together: case and spaces do not matter; "" for what names nobody."""
    key = " ".join(artist.casefold().split())
    return "" if key in _NOBODY else key


def leaks(songs: Iterable[Song]) -> dict[str, list[Split]]:
    """Name the artists that are in more than one split, and those splits."""
    found: dict[str, set[Split | None]] = defaultdict(set)
    names: dict[str, str] = {}
    for song in songs:
        if key := artist_key(song.artist):
            found[key].add(song.split)
            names.setdefault(key, song.artist)
    return {names[key]: [split for split in SPLITS if split in used] for key, used in found.items() if len(used) > 1}


def absences(songs: Iterable[Song]) -> list[tuple[str, Split]]:
    """Name the genres that have no song in a split, and that split."""
    present = {(song.genre, song.split) for song in songs}
    genres = sorted({genre for genre, _ in present})
    return [(genre, split) for genre in genres for split in SPLITS if (genre, split) not in present]


class _Deal:
    """Deals groups to the splits, each where the shares of its genres are best, and then moves what betters them.

    Args:
        groups: Tracks of each genre in each group.
        decided: Splits of the groups that stay where they are.
    """

    def __init__(self, groups: dict[str, Counter[str]], decided: dict[str, Split]) -> None:
        self.groups = groups
        self.split_of = dict(decided)
        self.totals: Counter[str] = sum(groups.values(), Counter())
        self.have: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
        for name, split in decided.items():
            self.have[split] += groups[name]

    def deal(self, names: list[str]) -> dict[str, Split]:
        """Deal the groups, the largest first, of those alike as they come; hand out the split of all."""
        names = sorted(names, key=lambda name: -self.groups[name].total())
        for name in names:
            self._put(name, absent=0.0)
        # The small ones first, so that the largest stay in training where a genre has few.
        while sum(self._put(name, _ABSENT) for name in reversed(names)):
            pass
        return self.split_of

    def _put(self, name: str, absent: float) -> bool:
        """Put a group where it costs least; tell whether that is not where it was."""
        group, before = self.groups[name], self.split_of.get(name)
        if before:
            self.have[before] -= group
        costs = {split: self._cost(group, split, absent) for split in SPLITS}
        best = min(SPLITS, key=lambda split: (costs[split], SPLITS.index(split)))
        if before and costs[best] > costs[before] - _GAIN:
            best = before
        self.have[best] += group
        self.split_of[name] = best
        return best != before

    def _cost(self, group: Counter[str], split: Split, absent: float) -> float:
        """Price the shares that the group's genres would have with it in a split."""
        cost = 0.0
        for genre, count in group.items():
            for other, share in SHARES.items():
                have = self.have[other][genre] + count * (other == split)
                cost += (have / self.totals[genre] - share) ** 2 + absent * (have == 0)
        return cost


def _group_of(song: Song, group_by: GroupBy) -> str:
    artist = artist_key(song.artist) if group_by == "artist" else ""
    return f"artist {artist}" if artist else f"track {song.path}"


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()


def _decided(songs: list[Song], group_by: GroupBy, kept: Iterable[Song]) -> dict[str, Split]:
    """Tell the split that most kept songs of a group are in: two artists may have become one by a better spelling."""
    now = {song.path: song for song in songs}
    votes: dict[str, Counter[Split]] = defaultdict(Counter)
    for song in kept:
        if song.split:
            votes[_group_of(now.get(song.path, song), group_by)][song.split] += 1
    return {name: max(SPLITS, key=count.__getitem__) for name, count in votes.items()}


def _too_few(genre: str, n_groups: int, group_by: GroupBy) -> str:
    also = " split without regard to artists by --data.group_by=track," if group_by == "artist" else ""
    found = f"{n_groups} {group_by}{'s' * (n_groups != 1)}"
    return (
        f"The genre {genre!r} has {found}, and must have at least {len(SPLITS)}, one for each of {', '.join(SPLITS)}. "
        f"Add music, leave the genre out,{also} or {_BY_HAND}."
    )
