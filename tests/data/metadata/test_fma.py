from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from lit_genre.data.metadata.fma import Subset, clip_path, load_tracks, tracks_path
from lit_genre.errors import LitGenreError

HEADER = [
    ",album,album,artist,artist,set,set,track,track,track",
    ",id,title,id,name,split,subset,genre_top,genres,title",
    "track_id,,,,,,,,,",
]
ROWS = [
    '2,1,"An album, with a comma",1,AWOL,training,small,Hip-Hop,[21],Food',
    '3,1,"A biography\nover two lines",1,AWOL,training,medium,Hip-Hop,[21],Electric Ave',
    "10,6,,6,Kurt Vile,test,small,Pop,[10],Freeway",
    '20,4,,4,Nicky Cook,training,large,,"[76, 103]",Spiritual Level',
    "140,-1,,54,Alec K. Redfearn,validation,medium,Folk,[17],NA",
]
GENRES = [
    "genre_id,#tracks,parent,title,top_level",
    "10,1,0,Pop,10",
    "17,1,0,Folk,17",
    "21,1,0,Hip-Hop,21",
    "76,1,10,Experimental Pop,10",
    "103,1,17,Singer-Songwriter,17",
]
MORE = "7,1,,1,A,training,small,Pop,[10],T"


def write(root: Path, *rows: str, header: list[str] = HEADER, genres: list[str] | None = None) -> Path:
    path = tracks_path(root)
    path.parent.mkdir()
    path.write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    if genres:
        (path.parent / "genres.csv").write_text("\n".join(genres) + "\n", encoding="utf-8")
    return path


def refusal(root: Path, subset: Subset = "small") -> str:
    with pytest.raises(LitGenreError) as error:
        load_tracks(root, subset)
    said = str(error.value)
    assert said.startswith(str(tracks_path(root)))
    return said


def test_subsets_nest(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    ids = {subset: [track.track_id for track in load_tracks(tmp_path, subset)] for subset in get_args(Subset)}
    assert ids == {
        "small": [2, 10],
        "medium": [2, 3, 10, 140],
        "large": [2, 3, 10, 20, 140],
        "full": [2, 3, 10, 20, 140],
    }


def test_fields_are_typed_and_splits_renamed(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    food, _, freeway, untitled = load_tracks(tmp_path, "medium")
    assert (food.split, food.genre_top, food.artist_id, food.artist) == ("train", "Hip-Hop", 1, "AWOL")
    assert (freeway.split, untitled.split) == ("test", "val")
    # A title that pandas would take for a missing value.
    assert untitled.title == "NA"
    assert (food.album_id, freeway.album_id, untitled.album_id) == (1, 6, -1)


def test_a_track_has_its_genres_and_their_ancestors(tmp_path: Path) -> None:
    write(tmp_path, *ROWS, genres=GENRES)
    food, _, _, spiritual, _ = load_tracks(tmp_path, "large")
    assert food.genres == ("Hip-Hop",)
    assert spiritual.genres == ("Experimental Pop", "Folk", "Pop", "Singer-Songwriter")
    assert spiritual.genre_top == ""


def test_what_only_some_tracks_files_have_may_lack(tmp_path: Path) -> None:
    header = [",artist,artist,set,set,track,track", ",id,name,split,subset,genre_top,title", "track_id,,,,,,"]
    write(tmp_path, "2,1,AWOL,training,small,Hip-Hop,Food", header=header, genres=GENRES)
    (food,) = load_tracks(tmp_path)
    assert (food.album_id, food.genres) == (-1, ())


def test_without_the_list_of_genres_a_track_has_none(tmp_path: Path) -> None:
    write(tmp_path, *ROWS)
    assert [track.genres for track in load_tracks(tmp_path)] == [(), ()]


def test_folder_is_the_first_three_digits() -> None:
    assert clip_path(Path("d"), "medium", 98565).as_posix() == "d/fma_medium/098/098565.mp3"


def test_rows_in_any_order_come_in_that_of_their_ids(tmp_path: Path) -> None:
    write(tmp_path, *reversed(ROWS))
    assert [track.track_id for track in load_tracks(tmp_path, "full")] == [2, 3, 10, 20, 140]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (MORE.replace("training", "holdout"), "track 7 has a split other than training, validation, test (split 'hold"),
        (MORE.replace("small", "tiny"), "track 7 has a subset other than small, medium, large, full (subset 'tiny'"),
        (MORE.replace("Pop", ""), "track 7 has no genre_top"),
        (MORE.replace("Pop", "Experimental Pop"), "track 7 has a genre_top that is no root in genres.csv"),
        (MORE.replace("[10]", '"[10, 99]"'), "track 7 has a genre that genres.csv does not have (genres '[10, 99]'"),
        (MORE.replace("[10]", "Pop"), "track 7 has genres that are no list of numbers (genres 'Pop'"),
        (MORE.replace("7", "2"), "track 2 has an id that another row has"),
        (MORE.replace("7", "2").replace("small", "large"), "track 2 has an id that another row has"),
        (MORE.replace("7", "seven"), "track_id is 'seven', not a number (row 6 of the data)"),
        (MORE.replace("7", "7.0"), "track_id is '7.0', not a number (row 6 of the data)"),
        (MORE.replace("7", "-7"), "track_id is '-7', not a number (row 6 of the data)"),
        (MORE.replace("7", "9" * 30), "not a number (row 6 of the data)"),
        (MORE.replace(",1,A", ",,A"), "artist_id is '', not a number (row 6 of the data)"),
        (MORE.replace("7,1", "7,one"), "album_id is 'one', not a number (row 6 of the data)"),
        (MORE[:9], "track 7 has a subset other than small, medium, large, full (subset ''"),
        (MORE[:-8], "track 7 has genres that are no list of numbers (genres ''"),
        (MORE.replace(",A", ',"A'), "cannot be read: Error tokenizing data. C error: EOF inside string"),
        (MORE.replace(",A", ',"A') + '\n8,1,"One","A",test', "track 7 has a subset other than"),
    ],
)
def test_faulty_rows_are_named(tmp_path: Path, row: str, said: str) -> None:
    write(tmp_path, *ROWS, row, genres=GENRES)
    assert said in refusal(tmp_path)


def test_a_first_row_that_is_cut_does_not_shift_the_others(tmp_path: Path) -> None:
    write(tmp_path, "1,1,", *ROWS)
    assert "artist_id is '', not a number (row 1 of the data)" in refusal(tmp_path)


def test_fields_behind_the_last_column_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, *(f"{row},more,still more" for row in ROWS))
    assert [track.title for track in load_tracks(tmp_path)] == ["Food", "Freeway"]


def test_faults_outside_the_subset_wait_until_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, *ROWS, MORE.replace("small", "large").replace("[10]", "?"))
    assert [track.track_id for track in load_tracks(tmp_path, "medium")] == [2, 3, 10, 140]
    assert "track 7 has genres that are no list" in refusal(tmp_path, "large")


def test_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path, "2,a", header=[",set", ",split", "track_id,"])
    assert "no column set.subset, track.genre_top" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column set.split"),
        (b"a,b\n", "no column set.split"),
        (b"\xff\xfe\x00garbage", "line 1, is not UTF-8"),
        ("\n".join(HEADER).encode(), "no rows"),
        ("\n".join([*HEADER, *ROWS]).encode("utf-16"), "line 1, is not UTF-8"),
        ("\n".join([*HEADER, *ROWS]).replace("Vile", "Vilé").encode("latin-1"), "line 7, is not UTF-8"),
        ("\n".join([*HEADER, *ROWS, "Vilé"]).encode()[:-1], "line 10, is not UTF-8"),
        ("\n".join([*HEADER, *ROWS]).replace("Vile", "\0" * 4).encode(), "line 7, has a zero byte"),
        ("\n".join([*HEADER, *ROWS]).replace(",", ";").encode(), "no column set.split"),
        ("\n".join([*HEADER, *ROWS]).replace("set,set", '"set,set', 1).encode(), "no column set.split"),
    ],
)
def test_what_is_no_tracks_csv_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path).write_bytes(content)
    assert said in refusal(tmp_path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("third", [ROWS[0], "2", ""])
def test_a_missing_third_header_line_is_named_and_no_track_is_lost(
    tmp_path: Path, third: str, end: str, mark: str
) -> None:
    path = write(tmp_path)
    path.write_bytes((mark + end.join([*HEADER[:2], third, *ROWS[1:]]) + end).encode())
    said = refusal(tmp_path)
    assert "lacks its third header line" in said
    assert f"line 3 is '{third[:4]}" in said


def test_a_table_that_pandas_wrote_without_the_name_of_its_index_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)
    table = pd.read_csv(path, header=[0, 1], index_col=0, skiprows=[2])
    table.rename_axis(index="track_id").to_csv(path)
    assert [track.track_id for track in load_tracks(tmp_path)] == [2, 10]
    table.rename_axis(index=None).to_csv(path)
    assert "lacks its third header line" in refusal(tmp_path)


@pytest.mark.parametrize("header", [HEADER[:1], HEADER[1:2], HEADER[1:], [HEADER[0], HEADER[2]], []])
def test_fewer_header_lines_are_refused(tmp_path: Path, header: list[str]) -> None:
    write(tmp_path, *ROWS, header=header)
    assert "opens with three header lines (group, field, track_id)" in refusal(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_behind_the_header_change_nothing(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, *ROWS)
    expected = load_tracks(tmp_path, "full")
    lines = [*HEADER, "", "   ", *(part for row in ROWS for part in (row.replace("\n", " "), "")), "", ""]
    path.write_bytes(end.join(lines).encode())
    assert load_tracks(tmp_path, "full") == expected


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_blank_line_within_the_header_is_refused(tmp_path: Path, position: int) -> None:
    write(tmp_path, *ROWS, header=[*HEADER[:position], "", *HEADER[position:]])
    assert "header line" in refusal(tmp_path)


def test_absent_file_is_said(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path)


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS[2:])
    expected = load_tracks(tmp_path, "full")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_tracks(tmp_path, "full") == expected
