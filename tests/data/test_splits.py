import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from lit_genre.data.song_list import Song
from lit_genre.data.splits import SHARES, absences, leaks, split_songs
from lit_genre.data.track import SPLITS
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
    assert not leaks(done)
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


def test_what_names_nobody_is_no_artist() -> None:
    songs = [replace(song, artist="Unknown  Artist") for song in music(2, 10)]
    done = split_songs(songs, "artist", 0)
    assert {song.split for song in done} == set(SPLITS)
    assert not leaks(done)


@pytest.mark.parametrize("sizes", [(50, 30, 20), (1, 1, 1), (40, 2, 1)])
def test_three_artists_are_enough_and_the_largest_is_learnt_from(sizes: tuple[int, int, int]) -> None:
    songs = [
        Song(f"{genre} {artist} {song}", genre, artist=f"{genre} {artist}")
        for genre in ("a", "b")
        for artist, size in enumerate(sizes)
        for song in range(size)
    ]
    done = split_songs(songs, "artist", 0)
    assert not list(absences(done))
    assert Counter(song.split for song in done)["train"] == 2 * max(sizes)


def test_artists_of_several_genres_are_shared_out_too() -> None:
    draw = random.Random(0)
    songs = [Song(str(n), f"genre {draw.randint(0, 4)}", artist=f"Artist {draw.randint(0, 40)}") for n in range(400)]
    done = split_songs(songs, "artist", 0)
    assert not leaks(done)
    assert not list(absences(done))


def test_too_few_artists_name_the_genre_and_what_to_do() -> None:
    songs = [*music(2, 5), *(Song(f"polka/{n}", "Polka", artist=f"Artist {n % 2}") for n in range(30))]
    with pytest.raises(LitGenreError, match="'Polka' has 2 artists") as error:
        split_songs(songs, "artist", 0)
    assert "--data.group_by=track" in str(error.value)
    assert "--data.csv" in str(error.value)
    assert not list(absences(split_songs(songs, "track", 0)))
    with pytest.raises(LitGenreError, match="'Polka' has 2 tracks"):
        split_songs(songs[:32], "track", 0)


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
    assert not leaks(done)
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
    assert leaks(joined) == {"X": list(SPLITS)}
    assert not leaks(split_songs(joined, "artist", 0, first))
