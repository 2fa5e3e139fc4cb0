"""Split songs into training, validation and test so that no artist is in two of them.

If an artist is in both training and test, a network recognises the artist, and test accuracy is inflated (Flexer,
2007). The assignment is a stratified group split: groups are artists, and each genre has the same shares of the splits.

Reference: Flexer, "A Closer Look on Artist Filters for Musical Genre Classification", ISMIR 2007.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

from lit_genre.data.metadata.artists import group_by_keys
from lit_genre.data.metadata.manifest import MIN_GENRES, ManifestEntry
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.errors import LitGenreError

GroupBy = Literal["artist", "track"]
SHARES: Final[dict[Split, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}

_ABSENT: Final = 10.0
"""Cost of a genre without a track in a split; a split of the wrong size costs at most 2."""

_BY_HAND: Final = "give the split of each song in a list: --data.csv=LIST"

_MAX_NAMES_SHOWN: Final = 5

_GAIN: Final = 1e-9
"""Least gain for which a group is moved: without it, rounding errors could move a group for ever."""


def assign_splits(
    entries: list[ManifestEntry], group_by: GroupBy, seed: int, saved: Iterable[ManifestEntry] = ()
) -> list[ManifestEntry]:
    """Give each song a split: 80 % of each genre for training, 10 % for validation, 10 % for test.

    With "artist", all songs that share an artist, directly or through other songs, are in one split, and each genre is
    in all three splits. A song without an artist is a group of its own. The split depends on the songs and the seed,
    and not on the order of the songs.

    Args:
        entries: The songs.
        group_by: "artist", or "track" to ignore artists.
        seed: Seed of the split, at least 0.
        saved: Songs with a saved split, present or absent. They keep their split, and new songs join their artists or
            fill the splits that are too small. If artists of several splits turn out to be one, by a corrected spelling
            or by a common song, all present songs of the artist come to the split of most of its saved songs.

    Returns:
        The songs with their splits, in the same order.

    Raises:
        LitGenreError: A genre has too few artists, or tracks, for three splits.
    """
    saved = list(saved)
    groups_by_path = _groups(entries, saved, group_by)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        groups[groups_by_path[entry.path]][entry.genre] += 1
    _check_groups(groups, group_by)
    decided = {name: split for name, split in _saved_splits(saved, groups_by_path).items() if name in groups}
    # A hash of the name decides between groups of one size, so that a group keeps its rank when others are added.
    undecided = sorted(groups.keys() - decided, key=lambda name: _hash(seed, name))
    splits = StratifiedGroupSplit(groups, decided).assign(undecided)
    entries = [replace(entry, split=splits[groups_by_path[entry.path]]) for entry in entries]
    for genre, split in missing_classes(entries):
        raise LitGenreError(
            f"The {group_by}s of the genre {genre!r} could not be split so that it and all others have tracks in "
            f"{', '.join(SPLITS)}: it has none in {split}. Try --data.split_seed={seed + 1}, or {_BY_HAND}."
        )
    return entries


def artist_groups(entries: Sequence[ManifestEntry]) -> list[str]:
    """Return a name for each song that is equal for songs that share an artist, directly or not; "" if unknown."""
    return group_by_keys([entry.artist_keys for entry in entries])


def artist_overlap(entries: Iterable[ManifestEntry]) -> dict[str, list[Split]]:
    """Return the splits of each artist that is in more than one split, by the artist's name."""
    entries = list(entries)
    splits_by_group: dict[str, set[Split | None]] = defaultdict(set)
    names: dict[str, str] = {}
    for entry, group in zip(entries, artist_groups(entries), strict=True):
        if group:
            splits_by_group[group].add(entry.split)
            names.setdefault(group, entry.artist or entry.album_artist or entry.musicbrainz_artistid)
    return {
        names[group]: [split for split in SPLITS if split in splits]
        for group, splits in splits_by_group.items()
        if len(splits) > 1
    }


def missing_classes(entries: Iterable[ManifestEntry]) -> list[tuple[str, Split]]:
    """Return each genre that has no song in a split, with that split."""
    present = {(entry.genre, entry.split) for entry in entries}
    genres = sorted({genre for genre, _ in present})
    return [(genre, split) for genre in genres for split in SPLITS if (genre, split) not in present]


class StratifiedGroupSplit:
    """Assigns groups to splits such that each genre has the shares `SHARES` as nearly as possible.

    A greedy algorithm: the largest groups are assigned first, each to the split where it costs least. Then groups are
    moved as long as a move lowers the cost.

    Args:
        groups: Number of tracks of each genre in each group.
        decided: Splits of the groups that are not moved.
    """

    def __init__(self, groups: dict[str, Counter[str]], decided: dict[str, Split]) -> None:
        self.groups = groups
        self.splits = dict(decided)
        self.totals: Counter[str] = sum(groups.values(), Counter())
        self.counts: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
        for name, split in decided.items():
            self.counts[split] += groups[name]

    def assign(self, names: list[str]) -> dict[str, Split]:
        """Assign groups to splits.

        Args:
            names: Names of the groups; groups of one size are assigned in this order.

        Returns:
            Split of each group, also of the decided ones.
        """
        names = sorted(names, key=lambda name: -self.groups[name].total())
        for name in names:
            self._put(name, absent_cost=0.0)
        # The small groups are moved first, so that the largest stay in training if a genre has few groups.
        while sum(self._put(name, _ABSENT) for name in reversed(names)):
            pass
        return self.splits

    def _put(self, name: str, absent_cost: float) -> bool:
        """Put a group into the split where it costs least; return whether the split has changed."""
        group, before = self.groups[name], self.splits.get(name)
        if before:
            self.counts[before] -= group
        costs = {split: self._cost(group, split, absent_cost) for split in SPLITS}
        # Of splits with equal costs, training comes first.
        best = min(SPLITS, key=lambda split: (costs[split], SPLITS.index(split)))
        if before and costs[best] > costs[before] - _GAIN:
            best = before
        self.counts[best] += group
        self.splits[name] = best
        return best != before

    def _cost(self, group: Counter[str], split: Split, absent_cost: float) -> float:
        """Return the squared errors of the shares of the group's genres if the group is in a split."""
        cost = 0.0
        for genre, count in group.items():
            for other, share in SHARES.items():
                n_tracks = self.counts[other][genre] + count * (other == split)
                cost += (n_tracks / self.totals[genre] - share) ** 2 + absent_cost * (n_tracks == 0)
        return cost


def _groups(entries: Sequence[ManifestEntry], saved: Sequence[ManifestEntry], group_by: GroupBy) -> dict[str, str]:
    """Return the name of the group of each song, by its path; present songs replace their saved records."""
    all_entries = list({entry.path: entry for entry in (*saved, *entries)}.values())
    artists = artist_groups(all_entries) if group_by == "artist" else [""] * len(all_entries)
    return {
        entry.path: f"artist {artist}" if artist else f"track {entry.path}"
        for entry, artist in zip(all_entries, artists, strict=True)
    }


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogateescape")).digest()


def _saved_splits(saved: Iterable[ManifestEntry], groups_by_path: dict[str, str]) -> dict[str, Split]:
    """Return the split of most saved songs of each group."""
    votes: dict[str, Counter[Split]] = defaultdict(Counter)
    for entry in saved:
        if entry.split:
            votes[groups_by_path[entry.path]][entry.split] += 1
    return {name: max(SPLITS, key=count.__getitem__) for name, count in votes.items()}


def _check_groups(groups: dict[str, Counter[str]], group_by: GroupBy) -> None:
    """Raise an error if a genre has fewer groups than there are splits, with advice for this case."""
    n_groups = Counter(genre for count in groups.values() for genre in count)
    n_tracks: Counter[str] = sum(groups.values(), Counter())
    few = sorted(genre for genre, number in n_groups.items() if number < len(SPLITS))
    if not few:
        return
    advice = ["add music"]
    # Advice is given only if it leads to a valid split.
    least = max(n_tracks[genre] for genre in few) + 1
    # Leaving out small genres helps only if enough genres are left.
    left_out = [genre for genre in sorted(n_tracks) if n_tracks[genre] < least]
    if len(n_tracks) - len(left_out) >= MIN_GENRES:
        advice.append(f"leave out {first_names(left_out)} by --data.min_tracks_per_genre={least}")
    if group_by == "artist" and all(n_tracks[genre] >= len(SPLITS) for genre in few):
        advice.append("split without regard to artists by --data.group_by=track")
    faults = [f"{genre!r} has {_count(n_groups[genre], group_by)}" for genre in few]
    several = f" ({_count(n_tracks[few[0]], 'track')})" if len(few) == 1 and group_by == "artist" else ""
    raise LitGenreError(
        f"The genre {first_names(faults)}{several}, and must have at least {len(SPLITS)}, one for each of "
        f"{', '.join(SPLITS)}. You can {', '.join(advice)}, or {_BY_HAND}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def first_names(names: Sequence[str]) -> str:
    """Return the first five of the names and the number of the others, as a part of a message."""
    n_more = len(names) - _MAX_NAMES_SHOWN
    return ", ".join(names[:_MAX_NAMES_SHOWN]) + (f" and {n_more:,} more" if n_more > 0 else "")
