from pathlib import Path

import pytest

from lit_genre.data.metadata.manifest import ManifestEntry, read_manifest
from lit_genre.data.metadata.saved_split import assign_track_ids, read_saved_split, write_saved_split
from lit_genre.errors import LitGenreError

LINES = ["path,genre,split,artist", "a.wav,Jazz,train,Ann", "b.wav,Rock,val,Bob", "c/d.wav,Rock,test,"]
SONGS = [
    ManifestEntry("a.wav", "Jazz", "train", "Ann"),
    ManifestEntry("b.wav", "Rock", "val", "Bob"),
    ManifestEntry("c/d.wav", "Rock", "test"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    for name in ("a.wav", "b.wav", "c/d.wav"):
        (tmp_path / name).touch()
    return tmp_path


def read(root: Path, lines: list[str], encoding: str = "utf-8") -> list[ManifestEntry]:
    (root / "songs.csv").write_text("\n".join(lines), encoding=encoding)
    return read_manifest(root / "songs.csv", root)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_byte_order_marks(root: Path, separator: str, encoding: str) -> None:
    assert read(root, [line.replace(",", separator) for line in LINES], encoding) == SONGS


def test_other_columns_empty_lines_and_other_words_for_splits(root: Path) -> None:
    lines = [
        "Split,bpm,Genre,Path",
        "Training,1,Jazz,a.wav",
        ",,,",
        "validation,2,Rock,b.wav",
        "",
        "test,3,Rock,./c/d.wav",
    ]
    assert [(entry.path, entry.split) for entry in read(root, lines)] == [(entry.path, entry.split) for entry in SONGS]


def test_paths_may_lie_elsewhere(root: Path) -> None:
    path = root / "songs.csv"
    path.write_text(f"path,genre\n{root}/a.wav,Jazz\nd.wav,Rock")
    assert [entry.path for entry in read_manifest(path, root / "c")] == [f"{root}/a.wav", "d.wav"]


def test_all_artists_of_a_song_are_read(root: Path) -> None:
    uuid = "aaaaaaaa-0000-4000-8000-000000000001"
    lines = [
        "path,genre,Album_Artist,artist,MusicBrainz_ArtistId",
        f"a.wav,Jazz,Cy,Ann & Bob,{uuid}",
        "b.wav,Rock,V.A.,,",
    ]
    entries = read(root, lines)
    assert entries[0].artist_keys > {"annbob", "cy", f"mbid:{uuid}"}
    assert not entries[1].artist_keys


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["path,artist", "a.wav,Ann"], "line 1: no column genre in the header 'path,artist'"),
        ([], "line 1: no column path and none genre"),
        (["path,genre"], "there is no line below the header"),
        (["path,genre", "a.wav,Jazz", "b.wav,Jazz"], "all songs are 'Jazz'"),
        ([*LINES[:2], "b.wav,Rock,dev,"], "line 3: there is no split 'dev': use train, val, test"),
        ([*LINES[:2], "b.wav,,val,"], "line 3: the genre is empty"),
        ([*LINES[:2], "b.wav"], "line 3: the genre is empty"),
        ([*LINES[:2], ",Rock,val,"], "line 3: the path is empty"),
        ([*LINES, "./a.wav,Jazz,train,"], "line 5: a.wav is in line 2 too"),
        ([*LINES, "e.wav,Jazz,train,"], "line 5: there is no file 'e.wav' in"),
        ([*LINES[:3], "c/d.wav,Rock,,"], "line 4: c/d.wav has no split, but others have"),
        ([*LINES[:2], 'b.wav,Rock,val,"Heroes', 'c/d.wav,Rock,test,"Cy"'], "line 4: ',' expected after '\"'"),
        ([*LINES[:3], 'c/d.wav,Rock,test,"Cy'], "a quote that opens a field, here or in a line above, is not closed"),
        ([*LINES[:2], ".,Rock,val,"], "line 3: there is no file '.' in"),
        ([*LINES[:2], "~nobody.wav,Rock,val,"], "line 3: there is no file '~nobody.wav' in"),
        ([*LINES[:3], "c/d.wav,Rock,test,Cy,and Dee"], "line 4: 5 fields, but 4 columns"),
    ],
)
def test_faults_are_told_with_line_and_value(root: Path, lines: list[str], said: str) -> None:
    with pytest.raises(LitGenreError) as error:
        read(root, lines)
    assert said in str(error.value)
    assert "songs.csv" in str(error.value)


def test_text_that_is_no_utf8_is_told(root: Path) -> None:
    with pytest.raises(LitGenreError, match=r"line 3: the artist 'Bj\\udcf6rk' is not UTF-8"):
        read(root, [*LINES[:2], "b.wav,Rock,val,Björk"], "latin-1")


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="no list of songs .*absent.csv"):
        read_manifest(tmp_path / "absent.csv", tmp_path)


def test_what_is_written_is_what_is_read(root: Path) -> None:
    odd = ['comma, quote " and ; .wav', "line\nbreak.wav", "no\udcffutf8.wav", "naïve.wav"]
    for name in odd:
        (root / name).touch()
    artists = ('The "X"', "a\nb", "Y; Z", "aaaaaaaa-0000-4000-8000-000000000001")
    entries = [*SONGS, *(ManifestEntry(name, "Rock, Pop", "train", *artists) for name in odd)]
    write_saved_split(root / "kept.csv", entries, assign_track_ids(entry.path for entry in entries))
    assert read_manifest(root / "kept.csv", root) == entries
    assert read_saved_split(root / "kept.csv") == entries


def test_a_damaged_list_of_splits_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("path,genre,split\na.wav,Jazz,tr")
    with pytest.raises(LitGenreError, match="kept.csv, line 2: there is no split 'tr'"):
        read_saved_split(tmp_path / "kept.csv")


def test_numbers_stay_and_are_exact_in_a_double() -> None:
    few, many = assign_track_ids(f"{n}.wav" for n in range(5)), assign_track_ids(f"{n}.wav" for n in range(1000))
    assert few.items() <= many.items()
    assert len(set(many.values())) == 1000
    assert all(0 < number == int(float(number)) < 2**53 for number in many.values())


def test_songs_of_one_number_get_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_genre.data.metadata.saved_split.stable_id", lambda path: 7)
    assert assign_track_ids(["b", "a"]) == {"a": 7, "b": 8}
