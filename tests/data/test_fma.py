from pathlib import Path

import pytest

from lit_genre.data.fma import class_names, clip_path, load_tracks
from lit_genre.errors import LitGenreError

HEADER = [
    ",album,artist,artist,set,set,track,track,track",
    ",title,id,name,split,subset,genre_top,genres,title",
    "track_id,,,,,,,,",
]
ROWS = [
    '2,"An album, with a comma",1,AWOL,training,small,Hip-Hop,[21],Food',
    '3,"A biography\nover two lines",1,AWOL,training,medium,Hip-Hop,[21],Electric Ave',
    "10,,6,Kurt Vile,test,small,Pop,[10],Freeway",
    "20,,4,Nicky Cook,training,large,,[76],Spiritual Level",
    "140,,54,Alec K. Redfearn,validation,medium,Folk,[17],NA",
]


def write(root: Path, *rows: str, header: list[str] = HEADER) -> Path:
    path = root / "fma_metadata" / "tracks.csv"
    path.parent.mkdir()
    path.write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    return path


def test_subsets_nest(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    assert [track.track_id for track in load_tracks(tmp_path, "small")] == [2, 10]
    assert [track.track_id for track in load_tracks(tmp_path, "medium")] == [2, 3, 10, 140]


def test_fields_are_typed_and_splits_renamed(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    food, _, freeway, untitled = load_tracks(tmp_path, "medium")
    assert (food.split, food.genre_top, food.artist_id, food.artist) == ("train", "Hip-Hop", 1, "AWOL")
    assert (freeway.split, untitled.split) == ("test", "val")
    # A title that pandas would take for a missing value.
    assert untitled.title == "NA"


def test_class_names_are_sorted(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    assert class_names(load_tracks(tmp_path, "medium")) == ["Folk", "Hip-Hop", "Pop"]


def test_folder_is_the_first_three_digits() -> None:
    assert clip_path(Path("d"), "medium", 98565).as_posix() == "d/fma_medium/098/098565.mp3"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("7,,1,A,holdout,small,Rock,[12],T", "track 7 has a split other than training, validation, test"),
        ("7,,1,A,training,small,,[12],T", "track 7 has no genre_top"),
        (ROWS[0], "track 2 has an id that another row has"),
    ],
)
def test_faulty_rows_are_named(tmp_path: Path, row: str, said: str) -> None:
    path = write(tmp_path, *ROWS, row)
    with pytest.raises(LitGenreError, match=said) as error:
        load_tracks(tmp_path, "small")
    assert str(path) in str(error.value)


def test_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path, "2,a", header=[",set", ",split", "track_id,"])
    with pytest.raises(LitGenreError, match="no column set.subset, track.genre_top"):
        load_tracks(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00garbage", b"a,b\n"])
def test_what_is_no_tracks_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path)
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match="tracks.csv"):
        load_tracks(tmp_path)
