import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from lit_genre.data.metadata.manifest import Song
from lit_genre.data.metadata.splits import SHARES, GroupBy, artist_groups, artist_overlap, missing_classes, split_songs
from lit_genre.data.metadata.track import SPLITS
from lit_genre.errors import LitGenreError

SLACK = 0.05
"""How far a share of a genre may be from what it should be, where its largest artist is smaller than this."""


def music(genres: int, artists: int, songs: Callable[[], int] = lambda: 3) -> list[Song]:
    return [
        Song(f"{genre}/{artist}/{song}.mp3", f"genre {genre}", artist=f"Artist {genre}-{artist}")
        for genre in range(genres)
        for artist in range(artists)
        for song in range(songs())
    ]


def splits(songs: list[Song]) -> dict[str, object]:
    return {song.path: song.split for song in songs}


@pytest.fixture
def songs() -> list[Song]:
    draw = random.Random(0)
    return music(6, 40, lambda: draw.randint(1, 8))


def test_no_artist_is_on_two_sides_and_every_genre_is_divided_as_it_should_be(songs: list[Song]) -> None:
    done = split_songs(songs, "artist", 0)
    assert not artist_overlap(done)
    assert [replace(song, split=None) for song in done] == songs
    counts, totals = Counter((song.genre, song.split) for song in done), Counter(song.genre for song in done)
    for genre, total in totals.items():
        for split in SPLITS:
            assert counts[genre, split] / total == pytest.approx(SHARES[split], abs=SLACK)


def test_it_follows_from_songs_and_seed_alone(songs: list[Song]) -> None:
    shuffled = random.Random(1).sample(songs, len(songs))
    done = splits(split_songs(songs, "artist", 0))
    assert splits(split_songs(shuffled, "artist", 0)) == done
    assert splits(split_songs(songs, "artist", 1)) != done


def test_spellings_of_an_artist_are_one_artist() -> None:
    songs = music(2, 10, lambda: 4)
    songs = [replace(song, artist=song.artist.upper() if n % 2 else f" {song.artist}") for n, song in enumerate(songs)]
    done = split_songs(songs, "artist", 0)
    assert all(len({song.split for song in done[first : first + 4]}) == 1 for first in range(0, len(done), 4))


def test_songs_that_share_an_artist_an_album_artist_or_an_id_come_to_one_side() -> None:
    names = ("{}", "{} feat. Guest", "The {}", "{}, The", "{} / Other", "{}; Other")
    songs = [
        Song(f"{genre}/{artist}/{number}", f"genre {genre}", artist=name.format(f"Artist{genre}-{artist}"))
        for genre in range(2)
        for artist in range(20)
        for number, name in enumerate(names)
    ]
    songs = [song if "Guest" not in song.artist and "Other" not in song.artist else _own(song) for song in songs]
    albums = [
        Song(f"album {n}", f"genre {n % 2}", artist=f"Solo {n}", album_artist=f"Band {n // 4}") for n in range(80)
    ]
    uuid = "aaaaaaaa-0000-4000-8000-0000000000{:02}".format
    ids = [Song(f"id {n}", f"genre {n % 2}", artist=f"Name {n}", musicbrainz_artistid=uuid(n // 4)) for n in range(80)]
    done = split_songs([*songs, *albums, *ids], "artist", 0)
    split_of = splits(done)
    for group in (songs, albums, ids):
        size = 6 if group is songs else 4
        for first in range(0, len(group), size):
            assert len({split_of[song.path] for song in group[first : first + size]}) == 1
    assert {song.split for song in done} == set(SPLITS)


def _own(song: Song) -> Song:
    """Give each artist guests of its own."""
    guest = f"G{song.path.rpartition('/')[0]}".replace("/", "-")
    return replace(song, artist=song.artist.replace("Guest", guest).replace("Other", guest))


def test_what_names_nobody_is_no_artist() -> None:
    songs = [replace(song, artist="Unknown  Artist", album_artist="V.A.") for song in music(2, 10)]
    done = split_songs(songs, "artist", 0)
    assert {song.split for song in done} == set(SPLITS)
    assert not artist_overlap(done)


@pytest.mark.parametrize("sizes", [(50, 30, 20), (1, 1, 1), (40, 2, 1)])
def test_three_artists_are_enough_and_the_largest_is_learnt_from(sizes: tuple[int, int, int]) -> None:
    songs = [
        Song(f"{genre} {artist} {song}", genre, artist=f"{genre} {artist}")
        for genre in ("a", "b")
        for artist, size in enumerate(sizes)
        for song in range(size)
    ]
    done = split_songs(songs, "artist", 0)
    assert not list(missing_classes(done))
    assert Counter(song.split for song in done)["train"] == 2 * max(sizes)


def test_artists_of_several_genres_are_shared_out_too() -> None:
    draw = random.Random(0)
    songs = [Song(str(n), f"genre {draw.randint(0, 4)}", artist=f"Artist {draw.randint(0, 40)}") for n in range(400)]
    done = split_songs(songs, "artist", 0)
    assert not artist_overlap(done)
    assert not list(missing_classes(done))


def test_too_few_artists_name_the_genre_and_what_to_do() -> None:
    songs = [*music(2, 5), *(Song(f"polka/{n}", "Polka", artist=f"Artist {n % 2}") for n in range(30))]
    with pytest.raises(LitGenreError, match=r"'Polka' has 2 artists \(30 tracks\)") as error:
        split_songs(songs, "artist", 0)
    assert "--data.group_by=track" in str(error.value)
    assert "--data.csv" in str(error.value)
    assert "min_tracks_per_genre" not in str(error.value)  # It would leave out the others.
    assert not list(missing_classes(split_songs(songs, "track", 0)))


@pytest.mark.parametrize("group_by", ["artist", "track"])
def test_one_song_of_a_genre_gets_advice_that_works(group_by: GroupBy) -> None:
    songs = [*music(2, 5), Song("polka/1", "Polka", artist="X"), Song("ska/1", "Ska"), Song("ska/2", "Ska")]
    with pytest.raises(LitGenreError, match=f"'Polka' has 1 {group_by}.*'Ska' has 2 {group_by}s") as error:
        split_songs(songs, group_by, 0)
    assert "leave out Polka, Ska by --data.min_tracks_per_genre=3" in str(error.value)
    assert "group_by=track" not in str(error.value)
    assert not list(
        missing_classes(split_songs([song for song in songs if song.genre.startswith("genre")], group_by, 0))
    )


def test_artists_that_cannot_be_parted_are_told() -> None:
    songs = [Song(f"{genre}{n}", genre, artist=f"Artist {n}") for genre in "ab" for n in range(3)]
    kept = [replace(song, split="val" if song.artist == "Artist 2" else "train") for song in songs]
    with pytest.raises(LitGenreError, match="none in test.*--data.split_seed=1"):
        split_songs(songs, "artist", 0, kept)


def test_songs_that_come_later_leave_the_others_where_they_are(songs: list[Song]) -> None:
    first = split_songs(songs, "artist", 0)
    later = [Song(f"new/{n}", "genre 0", artist=f"New {n % 20}") for n in range(60)]
    more_of_known = [replace(song, path=f"{song.path}.new") for song in songs[::7]]
    done = split_songs([*later, *songs, *more_of_known], "artist", 0, first)
    assert splits(first).items() <= splits(done).items()
    assert not artist_overlap(done)
    assert {song.split for song in done if song.path.startswith("new/")} == set(SPLITS)


def test_songs_of_an_artist_whose_others_are_away_join_them(songs: list[Song]) -> None:
    first = split_songs(songs, "artist", 0)
    away = {song.artist for song in first if song.split == "test"}
    here = [song for song in songs if song.artist not in away or song.path.endswith("0")]
    new = [replace(song, path=f"{song.path}.new") for song in songs if song.artist in away]
    done = split_songs([*here, *new], "artist", 0, first)
    assert {song.split for song in done if song.artist in away} == {"test"}
    assert {song.path for song in done} == {song.path for song in [*here, *new]}


def test_artists_that_turn_out_to_be_one_come_to_one_side() -> None:
    first = split_songs(music(2, 30), "artist", 0)
    artist_in = {song.split: song.artist for song in first}
    joined = [replace(song, artist="X") if song.artist in artist_in.values() else song for song in first]
    assert artist_overlap(joined) == {"X": list(SPLITS)}
    assert not artist_overlap(split_songs(joined, "artist", 0, first))


def test_the_artists_of_songs_that_are_away_join_those_that_are_here() -> None:
    first = split_songs(music(2, 30), "artist", 0)
    here = [song for song in first if song.split != "test"]
    new = [
        Song(f"new {n}", song.genre, artist=f"{song.artist} feat. Newcomer {n}")
        for n, song in enumerate(song for song in first if song.split == "test")
    ]
    done = split_songs([*here, *new], "artist", 0, first)
    assert {song.split for song in done if song.path.startswith("new")} == {"test"}


def test_leaks_name_artists_by_what_they_share() -> None:
    songs = [Song("a", "x", "train", "A"), Song("b", "x", "test", "B feat. A"), Song("c", "x", "val", "Various")]
    assert artist_overlap(songs) == {"A": ["train", "test"]}
    songs = [replace(song, artist="", album_artist=song.artist) for song in songs]
    assert artist_overlap(songs) == {"A": ["train", "test"]}
    assert artist_groups(songs) == ["a", "a", ""]
