from pathlib import Path

import pytest

from lit_genre.data.metadata import fma_genres as module
from lit_genre.data.metadata.fma_genres import check_text, genres_path, load_genres
from lit_genre.errors import LitGenreError

ROWS = [
    "genre_id,#tracks,parent,title,top_level",
    "12,30,0,Rock,12",
    "25,20,12,Punk,12",
    "109,5,25,Hardcore,12",
    "38,9,0,Experimental,38",
    '1,8,38,"Avant-Garde, so called",38',
]
TABLE = "\n".join(ROWS) + "\n"


def write(root: Path, content: str | bytes) -> Path:
    path = genres_path(root)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(root: Path) -> str:
    with pytest.raises(LitGenreError) as error:
        load_genres(root)
    said = str(error.value)
    assert said.startswith(str(genres_path(root)))
    return said


def test_titles_parents_and_roots(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    genres = load_genres(tmp_path)
    assert genres.titles == {12: "Rock", 25: "Punk", 109: "Hardcore", 38: "Experimental", 1: "Avant-Garde, so called"}
    assert genres.parents == {12: 0, 25: 12, 109: 25, 38: 0, 1: 38}
    assert genres.roots == {"Rock", "Experimental"}


def test_a_genre_implies_its_ancestors(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    genres = load_genres(tmp_path)
    assert genres.with_ancestors([109]) == {"Hardcore", "Punk", "Rock"}
    assert genres.with_ancestors([109, 25, 38]) == {"Hardcore", "Punk", "Rock", "Experimental"}
    assert genres.with_ancestors([]) == set()
    with pytest.raises(KeyError):
        genres.with_ancestors([99])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("two,1,0,Jazz,4", "line 7: genre_id is 'two', not a number"),
        ("4.0,1,0,Jazz,4", "line 7: genre_id is '4.0', not a number"),
        ("0,1,0,Jazz,4", "line 7: genre_id is '0', not a number"),
        (",1,0,Jazz,4", "line 7: genre_id is '', not a number"),
        ("4,1,Rock,Jazz,4", "line 7: parent is 'Rock', not a number"),
        ("4,1,0,,4", "line 7: title is '', not a title"),
        ("4,1", "line 7: parent is '', not a number"),
        ("4,1,0", "line 7: title is '', not a title"),
        ("12,1,0,Jazz,4", "line 7: an earlier row has the genre_id '12' too"),
        ("4,1,0,Punk,4", "line 7: an earlier row has the title 'Punk' too"),
        ("4,1,99,Jazz,4", "genre 4, Jazz, has the ancestor 99, which is not there"),
        ("4,1,4,Jazz,4", "genre 4, Jazz, is its own ancestor"),
        ("4,1,5,Jazz,4\n5,1,4,Swing,4", "genre 4, Jazz, is its own ancestor"),
        ('4,1,0,"Jazz,4', "EOF inside string"),
    ],
)
def test_faulty_rows_are_named(tmp_path: Path, row: str, said: str) -> None:
    write(tmp_path, TABLE + row + "\n")
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read: No columns"),
        (ROWS[0], "no rows"),
        (TABLE.replace("parent", "top"), "columns expected but not found: ['parent']"),
        (TABLE.encode("utf-16"), "line 1, is not UTF-8"),
        (TABLE.replace("Punk", "Pünk").encode("latin-1"), "line 3, is not UTF-8"),
        (TABLE.replace("Punk", "P\0nk"), "line 3, has a zero byte"),
    ],
)
def test_what_is_no_genres_csv_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    write(tmp_path, content)
    assert said in refusal(tmp_path)


def test_absent_file_is_said(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path)


def test_line_ends_of_windows_a_byte_order_mark_and_more_columns_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE)
    expected = load_genres(tmp_path)
    write(tmp_path, b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode())
    assert load_genres(tmp_path) == expected
    # More fields than columns: pandas would take the first for names of rows.
    header, *rows = ROWS
    path.write_text("\n".join([header, *(f"{row},more" for row in rows)]))
    assert load_genres(tmp_path) == expected


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_lines_are_counted_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    path = tmp_path / "table.csv"
    path.write_bytes("ä,é\n€,𝄞\n".encode())
    check_text(path)
    for content, said in (("ä\né\n\0\n".encode(), "line 3, has a zero"), ("ä\n€\n".encode()[:-2], "line 2, is not")):
        path.write_bytes(content)
        with pytest.raises(LitGenreError, match=said):
            check_text(path)
