"""Split songs into training, validation and test so that no artist is in two of them.

Networks learn how an artist's recordings sound, and recognise them: with artists on both sides, scores are too high.

Reference: Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

from lit_genre.data.metadata.artists import group_by_keys
from lit_genre.data.metadata.manifest import MIN_GENRES, Song
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.errors import LitGenreError

GroupBy = Literal["artist", "track"]
SHARES: Final[dict[Split, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}

_ABSENT: Final = 10.0
"""What a genre without a track in a split costs; a split of the wrong size costs at most 2."""

_BY_HAND: Final = "say the split of each song in a list: --data.csv=LIST"

_NAMED: Final = 5

_GAIN: Final = 1e-9
"""Least gain that a group is moved for: rounding errors would move it for ever."""


def split_songs(songs: list[Song], group_by: GroupBy, seed: int, kept: Iterable[Song] = ()) -> list[Song]:
    """Give each song a split: 80 % of each genre for training, 10 % for validation, 10 % for test.

    By "artist" all songs that share an artist, themselves or by way of others, are in one split, and each genre is in
    all three. A song without an artist is a group of its own. The split follows from the songs and the seed, in
    whatever order they come.

    Args:
        songs: The songs.
        group_by: "artist", or "track" to take no notice of artists.
        seed: Another one gives another split.
        kept: Songs whose splits are decided, these and others that are away: songs that come later join their artists,
            or fill what is short. Where artists of several splits have become one, by a better spelling or by a song
            that they share, all songs that are here come to the split that most kept songs of theirs are in.

    Raises:
        LitGenreError: A genre has too few artists, or tracks, for three splits.
    """
    kept = list(kept)
    group_of = _groups(songs, kept, group_by)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for song in songs:
        groups[group_of[song.path]][song.genre] += 1
    _check_groups(groups, group_by)
    decided = {name: split for name, split in _decided(kept, group_of).items() if name in groups}
    split_of = _Deal(groups, decided).deal(sorted(groups.keys() - decided, key=lambda name: _draw(seed, name)))
    songs = [replace(song, split=split_of[group_of[song.path]]) for song in songs]
    for genre, split in absences(songs):
        raise LitGenreError(
            f"The {group_by}s of the genre {genre!r} could not be split so that it and all others have tracks in "
            f"{', '.join(SPLITS)}: it has none in {split}. Try --data.split_seed={seed + 1}, or {_BY_HAND}."
        )
    return songs


def artist_groups(songs: Sequence[Song]) -> list[str]:
    """Name the group of each song: of all songs that share an artist, themselves or by way of others; "" for nobody."""
    return group_by_keys([song.artist_keys for song in songs])


def leaks(songs: Iterable[Song]) -> dict[str, list[Split]]:
    """Name the artists that are in more than one split, and those splits."""
    songs = list(songs)
    found: dict[str, set[Split | None]] = defaultdict(set)
    names: dict[str, str] = {}
    for song, group in zip(songs, artist_groups(songs), strict=True):
        if group:
            found[group].add(song.split)
            names.setdefault(group, song.artist or song.album_artist or song.musicbrainz_artistid)
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


def _groups(songs: Sequence[Song], kept: Sequence[Song], group_by: GroupBy) -> dict[str, str]:
    """Name the group of each song, by its path; of the kept ones that are here the tags of today count."""
    all_songs = list({song.path: song for song in (*kept, *songs)}.values())
    artists = artist_groups(all_songs) if group_by == "artist" else [""] * len(all_songs)
    return {
        song.path: f"artist {artist}" if artist else f"track {song.path}"
        for song, artist in zip(all_songs, artists, strict=True)
    }


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()


def _decided(kept: Iterable[Song], group_of: dict[str, str]) -> dict[str, Split]:
    """Return the split that most kept songs of each group are in."""
    votes: dict[str, Counter[Split]] = defaultdict(Counter)
    for song in kept:
        if song.split:
            votes[group_of[song.path]][song.split] += 1
    return {name: max(SPLITS, key=count.__getitem__) for name, count in votes.items()}


def _check_groups(groups: dict[str, Counter[str]], group_by: GroupBy) -> None:
    """Refuse genres that have fewer groups than there are splits, with the advice that helps in this case."""
    n_groups = Counter(genre for count in groups.values() for genre in count)
    n_tracks: Counter[str] = sum(groups.values(), Counter())
    few = sorted(genre for genre, number in n_groups.items() if number < len(SPLITS))
    if not few:
        return
    advice = ["add music"]
    least = max(n_tracks[genre] for genre in few) + 1
    left_out = [genre for genre in sorted(n_tracks) if n_tracks[genre] < least]
    if len(n_tracks) - len(left_out) >= MIN_GENRES:
        advice.append(f"leave out {_some(left_out)} by --data.min_tracks_per_genre={least}")
    if group_by == "artist" and all(n_tracks[genre] >= len(SPLITS) for genre in few):
        advice.append("split without regard to artists by --data.group_by=track")
    found = [f"{genre!r} has {_count(n_groups[genre], group_by)}" for genre in few]
    several = f" ({_count(n_tracks[few[0]], 'track')})" if len(few) == 1 and group_by == "artist" else ""
    raise LitGenreError(
        f"The genre {_some(found)}{several}, and must have at least {len(SPLITS)}, one for each of "
        f"{', '.join(SPLITS)}. Remedies: {', '.join(advice)}, or {_BY_HAND}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
