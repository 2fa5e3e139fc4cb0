import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from lit_genre.data.metadata.manifest import ManifestEntry
from lit_genre.data.metadata.splits import (
    SHARES,
    GroupBy,
    artist_groups,
    artist_overlap,
    assign_splits,
    missing_classes,
)
from lit_genre.data.metadata.track import SPLITS
from lit_genre.errors import LitGenreError

SLACK = 0.05
"""How far a share of a genre may be from what it should be, where its largest artist is smaller than this."""


def music(genres: int, artists: int, n_files: Callable[[], int] = lambda: 3) -> list[ManifestEntry]:
    return [
        ManifestEntry(f"{genre}/{artist}/{number}.mp3", f"genre {genre}", artist=f"Artist {genre}-{artist}")
        for genre in range(genres)
        for artist in range(artists)
        for number in range(n_files())
    ]


def splits(entries: list[ManifestEntry]) -> dict[str, object]:
    return {entry.path: entry.split for entry in entries}


@pytest.fixture
def entries() -> list[ManifestEntry]:
    draw = random.Random(0)
    return music(6, 40, lambda: draw.randint(1, 8))


def test_no_artist_is_in_two_splits_and_each_genre_has_its_shares(entries: list[ManifestEntry]) -> None:
    done = assign_splits(entries, "artist", 0)
    assert not artist_overlap(done)
    assert [replace(entry, split=None) for entry in done] == entries
    counts, totals = Counter((entry.genre, entry.split) for entry in done), Counter(entry.genre for entry in done)
    for genre, total in totals.items():
        for split in SPLITS:
            assert counts[genre, split] / total == pytest.approx(SHARES[split], abs=SLACK)


def test_the_split_depends_on_songs_and_seed_only(entries: list[ManifestEntry]) -> None:
    shuffled = random.Random(1).sample(entries, len(entries))
    done = splits(assign_splits(entries, "artist", 0))
    assert splits(assign_splits(shuffled, "artist", 0)) == done
    assert splits(assign_splits(entries, "artist", 1)) != done


def test_spellings_of_an_artist_are_one_artist() -> None:
    entries = music(2, 10, lambda: 4)
    entries = [
        replace(entry, artist=entry.artist.upper() if n % 2 else f" {entry.artist}") for n, entry in enumerate(entries)
    ]
    done = assign_splits(entries, "artist", 0)
    assert all(len({entry.split for entry in done[first : first + 4]}) == 1 for first in range(0, len(done), 4))


def test_songs_that_share_an_artist_an_album_artist_or_an_id_come_to_one_side() -> None:
    names = ("{}", "{} feat. Guest", "The {}", "{}, The", "{} / Other", "{}; Other")
    entries = [
        ManifestEntry(f"{genre}/{artist}/{number}", f"genre {genre}", artist=name.format(f"Artist{genre}-{artist}"))
        for genre in range(2)
        for artist in range(20)
        for number, name in enumerate(names)
    ]
    entries = [
        entry if "Guest" not in entry.artist and "Other" not in entry.artist else _own(entry) for entry in entries
    ]
    albums = [
        ManifestEntry(f"album {n}", f"genre {n % 2}", artist=f"Solo {n}", album_artist=f"Band {n // 4}")
        for n in range(80)
    ]
    uuid = "aaaaaaaa-0000-4000-8000-0000000000{:02}".format
    ids = [
        ManifestEntry(f"id {n}", f"genre {n % 2}", artist=f"Name {n}", musicbrainz_artistid=uuid(n // 4))
        for n in range(80)
    ]
    done = assign_splits([*entries, *albums, *ids], "artist", 0)
    split_of = splits(done)
    for group in (entries, albums, ids):
        size = 6 if group is entries else 4
        for first in range(0, len(group), size):
            assert len({split_of[entry.path] for entry in group[first : first + size]}) == 1
    assert {entry.split for entry in done} == set(SPLITS)


def _own(entry: ManifestEntry) -> ManifestEntry:
    """Give each artist guests of its own."""
    guest = f"G{entry.path.rpartition('/')[0]}".replace("/", "-")
    return replace(entry, artist=entry.artist.replace("Guest", guest).replace("Other", guest))


def test_what_names_nobody_is_no_artist() -> None:
    entries = [replace(entry, artist="Unknown  Artist", album_artist="V.A.") for entry in music(2, 10)]
    done = assign_splits(entries, "artist", 0)
    assert {entry.split for entry in done} == set(SPLITS)
    assert not artist_overlap(done)


@pytest.mark.parametrize("sizes", [(50, 30, 20), (1, 1, 1), (40, 2, 1)])
def test_three_artists_are_enough_and_the_largest_is_learnt_from(sizes: tuple[int, int, int]) -> None:
    entries = [
        ManifestEntry(f"{genre} {artist} {entry}", genre, artist=f"{genre} {artist}")
        for genre in ("a", "b")
        for artist, size in enumerate(sizes)
        for entry in range(size)
    ]
    done = assign_splits(entries, "artist", 0)
    assert not list(missing_classes(done))
    assert Counter(entry.split for entry in done)["train"] == 2 * max(sizes)


def test_artists_of_several_genres_are_shared_out_too() -> None:
    draw = random.Random(0)
    entries = [
        ManifestEntry(str(n), f"genre {draw.randint(0, 4)}", artist=f"Artist {draw.randint(0, 40)}") for n in range(400)
    ]
    done = assign_splits(entries, "artist", 0)
    assert not artist_overlap(done)
    assert not list(missing_classes(done))


def test_too_few_artists_name_the_genre_and_what_to_do() -> None:
    entries = [*music(2, 5), *(ManifestEntry(f"polka/{n}", "Polka", artist=f"Artist {n % 2}") for n in range(30))]
    with pytest.raises(LitGenreError, match=r"'Polka' has 2 artists \(30 tracks\)") as error:
        assign_splits(entries, "artist", 0)
    assert "--data.group_by=track" in str(error.value)
    assert "--data.csv" in str(error.value)
    assert "min_tracks_per_genre" not in str(error.value)  # It would leave out the others.
    assert not list(missing_classes(assign_splits(entries, "track", 0)))


@pytest.mark.parametrize("group_by", ["artist", "track"])
def test_one_song_of_a_genre_gets_advice_that_works(group_by: GroupBy) -> None:
    entries = [
        *music(2, 5),
        ManifestEntry("polka/1", "Polka", artist="X"),
        ManifestEntry("ska/1", "Ska"),
        ManifestEntry("ska/2", "Ska"),
    ]
    with pytest.raises(LitGenreError, match=f"'Polka' has 1 {group_by}.*'Ska' has 2 {group_by}s") as error:
        assign_splits(entries, group_by, 0)
    assert "leave out Polka, Ska by --data.min_tracks_per_genre=3" in str(error.value)
    assert "group_by=track" not in str(error.value)
    assert not list(
        missing_classes(assign_splits([entry for entry in entries if entry.genre.startswith("genre")], group_by, 0))
    )


def test_artists_that_cannot_be_parted_are_told() -> None:
    entries = [ManifestEntry(f"{genre}{n}", genre, artist=f"Artist {n}") for genre in "ab" for n in range(3)]
    kept = [replace(entry, split="val" if entry.artist == "Artist 2" else "train") for entry in entries]
    with pytest.raises(LitGenreError, match="none in test.*--data.split_seed=1"):
        assign_splits(entries, "artist", 0, kept)


def test_songs_that_come_later_leave_the_others_where_they_are(entries: list[ManifestEntry]) -> None:
    first = assign_splits(entries, "artist", 0)
    later = [ManifestEntry(f"new/{n}", "genre 0", artist=f"New {n % 20}") for n in range(60)]
    more_of_known = [replace(entry, path=f"{entry.path}.new") for entry in entries[::7]]
    done = assign_splits([*later, *entries, *more_of_known], "artist", 0, first)
    assert splits(first).items() <= splits(done).items()
    assert not artist_overlap(done)
    assert {entry.split for entry in done if entry.path.startswith("new/")} == set(SPLITS)


def test_songs_of_an_artist_whose_others_are_away_join_them(entries: list[ManifestEntry]) -> None:
    first = assign_splits(entries, "artist", 0)
    away = {entry.artist for entry in first if entry.split == "test"}
    here = [entry for entry in entries if entry.artist not in away or entry.path.endswith("0")]
    new = [replace(entry, path=f"{entry.path}.new") for entry in entries if entry.artist in away]
    done = assign_splits([*here, *new], "artist", 0, first)
    assert {entry.split for entry in done if entry.artist in away} == {"test"}
    assert {entry.path for entry in done} == {entry.path for entry in [*here, *new]}


def test_artists_that_turn_out_to_be_one_come_to_one_side() -> None:
    first = assign_splits(music(2, 30), "artist", 0)
    artist_in = {entry.split: entry.artist for entry in first}
    joined = [replace(entry, artist="X") if entry.artist in artist_in.values() else entry for entry in first]
    assert artist_overlap(joined) == {"X": list(SPLITS)}
    assert not artist_overlap(assign_splits(joined, "artist", 0, first))


def test_the_artists_of_songs_that_are_away_join_those_that_are_here() -> None:
    first = assign_splits(music(2, 30), "artist", 0)
    here = [entry for entry in first if entry.split != "test"]
    new = [
        ManifestEntry(f"new {n}", entry.genre, artist=f"{entry.artist} feat. Newcomer {n}")
        for n, entry in enumerate(entry for entry in first if entry.split == "test")
    ]
    done = assign_splits([*here, *new], "artist", 0, first)
    assert {entry.split for entry in done if entry.path.startswith("new")} == {"test"}


def test_leaks_name_artists_by_what_they_share() -> None:
    entries = [
        ManifestEntry("a", "x", "train", "A"),
        ManifestEntry("b", "x", "test", "B feat. A"),
        ManifestEntry("c", "x", "val", "Various"),
    ]
    assert artist_overlap(entries) == {"A": ["train", "test"]}
    entries = [replace(entry, artist="", album_artist=entry.artist) for entry in entries]
    assert artist_overlap(entries) == {"A": ["train", "test"]}
    assert artist_groups(entries) == ["a", "a", ""]
