import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import soundfile
import torch

from lit_genre import FolderDataModule
from lit_genre.data.metadata.track import SPLITS
from lit_genre.errors import LitGenreError
from tests.helpers.audio import tone
from tests.helpers.runs import CONFIGS, QUIET, SMALL, Run
from tests.helpers.tagged_files import FORMATS, write_tagged
from tests.helpers.tagged_files import RATE as TAGGED_RATE

RATE = 22050
HERTZ = {"Drum & Bass": 110, "Jazz": 440, "Ö-Rock": 1760}
ARTISTS = 6


def write(path: Path, hertz: float, artist: str = "", title: str = "Song") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        if artist:
            file.artist, file.title = artist, title
        file.write(tone(hertz, 1.2))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three genres of six artists with two songs each, in an artist's folder each."""
    for genre, hertz in HERTZ.items():
        for artist in range(ARTISTS):
            for song in range(2):
                path = tmp_path / "music" / genre / f"{artist}" / f"[{song}].flac"
                write(path, hertz + 5 * artist, f"{genre} {artist}", f"Song {song}")
    return tmp_path / "music"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


def opened(*place: Path, **options: object) -> FolderDataModule:
    data = FolderDataModule(*place, **{"clip_seconds": 1, "seed": 0} | options)
    data.setup()
    return data


def kept_list() -> Path:
    (path,) = Path("data/pcm").glob("*.csv")
    return path


def split_of(data: FolderDataModule) -> dict[int, str]:
    return {track.track_id: track.split for track in data.tracks}


def as_list(songs: Iterable[tuple[object, ...]], columns: str = "path,genre,split,artist") -> Path:
    with Path("list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *songs])
    return Path("list.csv")


def test_folders_are_genres_and_tags_tell_artists(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = opened(music)
    assert data.classes == sorted(HERTZ)
    assert {(track.genre_top, track.title, track.artist) for track in data.tracks} == {
        (genre, f"Song {song}", f"{genre} {artist}") for genre in HERTZ for artist in range(ARTISTS) for song in (0, 1)
    }
    splits_of_artist = {track.artist: set[str]() for track in data.tracks}
    for track in data.tracks:
        splits_of_artist[track.artist].add(track.split)
    assert {len(splits) for splits in splits_of_artist.values()} == {1}
    for split in SPLITS:
        assert {track.genre_top for track in data.tracks if track.split == split} == set(HERTZ)
    said = "".join(capsys.readouterr())
    assert f"Songs: 24 train, 6 val, 6 test, listed in {kept_list()}" in said
    assert "is unknown" not in said


def test_what_is_served_is_the_sound_of_the_track(music: Path) -> None:
    data = opened(music)
    for split in SPLITS:
        for batch in data.whole_tracks(split):
            peaks = torch.fft.rfft(batch.waveform.float()).abs().argmax(1)
            for hertz, label, track_id in zip(peaks, batch.label, batch.track_id, strict=True):
                genre = data.track(int(track_id)).genre_top
                assert data.classes[label] == genre
                assert HERTZ[genre] <= hertz < HERTZ[genre] + 5 * ARTISTS


def test_nothing_is_written_into_the_music(music: Path) -> None:
    before = sorted(music.rglob("*"))
    opened(music)
    assert sorted(music.rglob("*")) == before
    assert list(Path("data/pcm").glob("music-*-22050-*/pcm*"))


def test_the_list_that_is_kept_gives_the_same_data_again(music: Path) -> None:
    data = opened(music)
    shutil.copy(kept_list(), "fixed.csv")
    again = opened(music, Path("fixed.csv"))
    assert again.tracks == data.tracks
    assert again.store_folder == data.store_folder


def test_songs_that_are_added_leave_the_split_and_the_numbers(music: Path) -> None:
    before = split_of(opened(music))
    for artist in range(20):
        write(music / "Aardvark" / f"{artist}.wav", 220, f"New {artist}")
        write(music / "Jazz" / f"{artist}.wav", 440, f"New {artist}")
    after = opened(music)
    assert before.items() < split_of(after).items()
    assert {track.split for track in after.tracks if track.genre_top == "Aardvark"} == set(SPLITS)


def test_songs_that_are_away_come_back_to_their_split(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = split_of(opened(music))
    path, listed = kept_list(), kept_list().read_text()
    (music / "Jazz").rename("away")
    for artist in range(ARTISTS):
        write(music / "Aardvark" / f"{artist}.wav", 220, f"Jazz {artist}")
    capsys.readouterr()
    data = opened(music)
    split_of_artist = {track.artist: track.split for track in data.tracks if track.genre_top == "Aardvark"}
    assert "12 are absent and keep their split" in " ".join("".join(capsys.readouterr()).split())
    shutil.copy(path, "fixed.csv")
    assert opened(music, Path("fixed.csv")).tracks == data.tracks
    shutil.rmtree(music / "Aardvark")
    Path("away").rename(music / "Jazz")
    data = opened(music)
    assert split_of(data) == before
    assert {track.artist: track.split for track in data.tracks if track.genre_top == "Jazz"} == split_of_artist
    assert path.read_text() == listed


def test_tracks_that_were_trained_on_are_told(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = opened(music).state_dict()
    same = opened(music)
    same.load_state_dict(trained)
    assert same.is_of_checkpoint
    assert "trained on" not in "".join(capsys.readouterr())
    anew = opened(music, split_seed=1)
    heard = {split: {t.track_id for t in anew.tracks if t.split == split} for split in SPLITS}
    count = len(heard["test"] & set(trained["trained_on"].tolist()))
    anew.load_state_dict(trained)
    assert not anew.is_of_checkpoint
    assert f"the model was trained on {count} of the 6 test tracks" in " ".join("".join(capsys.readouterr()).split())


def test_a_kept_list_may_be_edited_in_place(music: Path) -> None:
    before = split_of(opened(music))
    path = kept_list()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    moved = next(row for row in rows if row["split"] == "train")
    for row in rows:
        if row["artist"] == moved["artist"]:
            row["split"] = "Test"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, [*moved], delimiter=";")
        table.writeheader()
        table.writerows(rows)
    after = split_of(opened(music))
    assert {number: split for number, split in after.items() if before[number] != split} == {
        int(row["track_id"]): "test" for row in rows if row["artist"] == moved["artist"]
    }
    path.write_text(path.read_text().replace(";test;", ";tset;"))
    with pytest.raises(LitGenreError, match="line .*there is no split 'tset'"):
        opened(music)


def test_seed_and_grouping_give_splits_of_their_own(music: Path) -> None:
    splits = [split_of(opened(music, **options)) for options in ({}, {"split_seed": 1}, {"group_by": "track"}, {})]
    assert splits[0] == splits[3]
    assert splits[0] != splits[1] != splits[2] != splits[0]


def test_songs_without_an_artist_are_said_with_the_reason_and_what_helps(
    music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write(music / "Jazz" / f"unknown {number}.wav", 440)
    write(music / "Jazz" / "sampler.wav", 440, "Various Artists")
    (music / "Covers").mkdir()
    (music / "Covers" / "cover.jpg").touch()
    data = opened(music)
    assert "Covers" not in data.classes
    assert sorted(track.artist_id for track in data.tracks)[:5].count(-1) == 4
    said = "".join(capsys.readouterr())
    assert (
        "The artist of 4 of the 40 songs is unknown: 3 without an artist tag, 1 with an artist tag that names no "
        "artist ('Various Artists')."
    ) in said
    assert "To avoid this, add artist tags to the files, or give a list with a column artist" in said


def test_tags_that_are_there_are_not_asked_for(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(music / "Jazz" / "sampler.wav", 440, "[unknown]")
    opened(music)
    said = "".join(capsys.readouterr())
    assert "1 with an artist tag that names no artist ('[unknown]')" in said
    assert "To avoid this, give a list with a column artist, --data.csv=LIST." in said


def test_what_is_left_out_is_said_with_the_reason(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = music / "Jazz" / "0" / "[0].flac"
    for name in (".Trash-1000/files/a.flac", "Jazz/0/.hidden/a.flac", "Jazz/.a.flac", "Jazz/$RECYCLE.BIN/a.flac",
                 "lost+found/a.flac", "loose.flac", "Jazz/0/cover.jpg"):  # fmt: skip
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(song, music / name)
    assert len(opened(music).tracks) == 36
    said = "".join(capsys.readouterr())
    assert "Left out: 3 files, hidden, or in a hidden folder (3 .flac)" in said
    assert "Left out: 2 files, in a folder of the system, such as its trash (2 .flac)" in said
    assert "Left out: 1 file, not in a genre's folder (1 .flac)" in said
    assert "Left out: 1 file, not audio by the suffix (1 .jpg)" in said


def test_a_hidden_folder_that_is_named_is_read(music: Path) -> None:
    assert len(opened(music.rename(music.parent / ".music")).tracks) == 36


def test_what_cannot_be_decoded_is_named_by_its_path(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (music / "Jazz" / "[live].mp3").write_text("no music")
    with pytest.raises(
        LitGenreError, match=r"Jazz/\[live\].mp3: no audio.*Repair or remove.*--data.max_missing_fraction=0.2"
    ):
        opened(music)
    opened(music, max_missing_fraction=0.2)
    assert "Left out: Jazz/[live].mp3, no audio that can be decoded" in "".join(capsys.readouterr())


def test_too_few_artists_are_told(music: Path) -> None:
    shutil.copytree(music / "Jazz" / "0", music / "Polka" / "0")
    with pytest.raises(LitGenreError, match=r"'Polka' has 1 artist \(2 tracks\), and must have at least 3"):
        opened(music)


def test_small_genres_are_left_out_by_choice(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(music / "Polka" / "only.flac", 220, "Someone")
    with pytest.raises(LitGenreError, match="'Polka' has 1 artist .*by --data.min_tracks_per_genre=2"):
        opened(music)
    data = opened(music, min_tracks_per_genre=2)
    assert data.classes == sorted(HERTZ)
    assert "Left out by min_tracks_per_genre=2: Polka (1 song)" in "".join(capsys.readouterr())
    assert opened(music, group_by="track", min_tracks_per_genre=2).classes == sorted(HERTZ)
    with pytest.raises(LitGenreError, match="min_tracks_per_genre=13 leaves out 4 of the 4 genres.*at most 12, "):
        opened(music, min_tracks_per_genre=13)
    songs = [(f"{genre}/0/[0].flac", genre, split, "") for genre, split in zip(HERTZ, SPLITS, strict=True)]
    given = as_list([*songs, ("Jazz/1/[0].flac", "Jazz", "train", ""), ("Jazz/2/[0].flac", "Bop", "train", "")])
    with pytest.raises(LitGenreError, match="leaves out 3 of the 4 genres.*at most 1, "):
        opened(music, given, min_tracks_per_genre=2)


def test_artists_that_turn_out_to_be_one_are_said(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for artist in range(30):
        write(music / "Jazz" / f"{artist}.flac", 440, f"Another {artist}")
    first = opened(music)
    artists = [next(t.artist for t in first.tracks if t.split == split and t.genre_top == "Jazz") for split in SPLITS]
    write(music / "Jazz" / "together.flac", 440, "; ".join(artists))
    capsys.readouterr()
    again = opened(music)
    group = [track for track in again.tracks if set(track.artist.split("; ")) & set(artists)]
    assert {(track.split, track.artist_id) for track in group} == {(group[0].split, group[0].artist_id)}
    before, after = split_of(first), split_of(again)
    n_moved = sum(before[number] != after[number] for number in before)
    said = " ".join("".join(capsys.readouterr()).split())
    assert 2 <= n_moved < len(group)
    assert f"{n_moved} of the songs changed their split: songs of one artist, in any spelling" in said


def test_artists_are_numbered_by_their_groups_in_any_order(music: Path) -> None:
    songs = [
        (f"Jazz/{n}/[0].flac", "Bop" if n % 2 else "Swing", f"A{n // 2 * '!'}, The" if n % 2 else "the a")
        for n in range(6)
    ]
    ids = []
    for order in (songs, songs[::-1]):
        with pytest.raises(LitGenreError, match="has 1 artist"):
            opened(music, as_list(order, "path,genre,artist"))
        data = opened(music, as_list(order, "path,genre,artist"), group_by="track")
        ids.append({track.title: track.artist_id for track in data.tracks})
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == 1


@pytest.mark.parametrize("folder", ["absent", "music/Jazz/0", "music/Jazz"])
def test_a_folder_without_genres_says_what_was_expected(tmp_path: Path, music: Path, folder: str) -> None:
    shutil.rmtree(music / "Jazz" / "1")
    for number in range(2, ARTISTS):
        shutil.rmtree(music / "Jazz" / f"{number}")
    with pytest.raises(LitGenreError) as error:
        FolderDataModule(tmp_path / folder).classes  # noqa: B018
    for part in (folder, "one folder for each genre", "song.mp3", "--data.path", "--data.csv"):
        assert part in str(error.value)


def test_nothing_named_is_told() -> None:
    with pytest.raises(LitGenreError, match="--data.path=FOLDER.*--data.csv=LIST"):
        FolderDataModule()


def test_a_list_with_splits_is_taken_at_its_word(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    songs = [
        (f"Jazz/{n}/[0].flac", "Bop" if n % 2 else "Swing", SPLITS[n % 3], "Ann" if n < 2 else "") for n in range(4)
    ]
    data = opened(music, as_list(songs))
    assert [(track.title, track.genre_top, track.split, track.artist) for track in data.tracks] == songs
    said = "".join(capsys.readouterr())
    assert "Artists in more than one split, so the score may be optimistic: Ann (train, val)." in said
    assert "Genres without a track in a split: Bop (test), Swing (val)." in said


def test_a_list_without_splits_is_split_by_its_artists(music: Path) -> None:
    songs = [(f"{path}", path.parts[-3], f"Duo {int(path.parts[-2]) // 2}") for path in sorted(music.rglob("*.flac"))]
    data = opened(None, as_list(songs, "path,genre,artist"))
    assert len({(track.artist, track.split) for track in data.tracks}) == 3
    assert {track.title for track in data.tracks} == {"Song 0", "Song 1"}


VARIANTS = ("The {}", "{}, The", "{} feat. Guest of {}", "{}; Guest of {}", "{} / Partner of {}")
"""How the names of an artist are written in the songs of the artist."""


@pytest.mark.parametrize("kind", FORMATS)
def test_no_artist_is_in_two_splits_in_any_format(tmp_path: Path, kind: str) -> None:
    for genre in ("Jazz", "Rock"):
        for artist in range(5):
            # Spelled with accents, quotes and hyphens in two ways each.
            names = (f"Bjo\u0308rk\u2019s-{genre} n{artist}", f"BJÖRK's\u2010{genre.upper()} N{artist}")
            for song, variant in enumerate(VARIANTS):
                name = names[song % 2]
                path = tmp_path / "music" / genre / f"{artist}-{song}.{kind}"
                write_tagged(path, tone(440, 0.2, TAGGED_RATE), artist=variant.format(name, name))
    data = opened(tmp_path / "music")
    assert len(data.tracks) == 2 * 5 * len(VARIANTS)
    split_of: dict[str, set[str]] = {}
    for track in data.tracks:
        split_of.setdefault(f"{track.genre_top} {data.audio_path(track).name.partition('-')[0]}", set()).add(
            track.split
        )
    assert len(split_of) == 10
    assert {len(splits) for splits in split_of.values()} == {1}
    assert len({track.artist_id for track in data.tracks}) == 10


def test_split_lists_are_checked_by_what_artists_share(music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    songs = [("Jazz/0/[0].flac", "A", "train", "The X"), ("Jazz/1/[0].flac", "A", "val", "Y feat. X"),
             ("Jazz/2/[0].flac", "B", "train", "V.A."), ("Jazz/3/[0].flac", "B", "test", "V.A.")]  # fmt: skip
    data = opened(music, as_list(songs))
    assert "optimistic: The X (train, val)." in "".join(capsys.readouterr())
    assert [track.artist_id == -1 for track in data.tracks] == [False, False, True, True]


def test_from_a_folder_to_scores(run: Run, music: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--config", CONFIGS / "data" / "folder.yaml", f"--data.path={music}")
    run("fit", *SMALL, QUIET, "--config", CONFIGS / "data" / "demo.yaml", *folder, "--trainer.max_epochs=1")
    capsys.readouterr()
    run("test", "--ckpt_path=best", "--trainer.logger=false")
    run("predict", "--ckpt_path=best", "--trainer.logger=false")
    for name in ("test", "predictions"):
        (table,) = Path("runs").glob(f"*/{name}.csv")
        with table.open(newline="") as file, kept_list().open(newline="") as kept:
            rows = {row["track_id"]: row["genre"] for row in csv.DictReader(file)}
            assert rows == {row["track_id"]: row["genre"] for row in csv.DictReader(kept) if row["split"] == "test"}
    captured = capsys.readouterr()
    assert "discard" not in (captured.out + captured.err).lower()
