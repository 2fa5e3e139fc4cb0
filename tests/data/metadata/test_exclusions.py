from pathlib import Path

import pytest

from lit_genre.data.metadata.exclusions import read_exclusions
from lit_genre.errors import LitGenreError


def write(folder: Path, text: str, name: str = "list") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "track_id,split\n2,train\n10,test\n",
        'split,track_id,title\n\ntrain,2,"two\nlines"\r\n# train,3,kept\ntest,10,a\u2028b\n',
        "\ufefftrack_id;title\r\n2;a, b\r\n10;c\r\n",
        "split\ttrack_id\ntrain\t 2\ntest\t10 \n",
        '# the worst\n"track_id"\n2\n10',
        "2\n\n# not 3\n 10  # next to silent\n",
        "000002\r\n10\r\n2\r\n",
    ],
)
def test_a_table_or_plain_text_names_tracks(tmp_path: Path, text: str) -> None:
    assert read_exclusions([write(tmp_path, text)]) == {2, 10}


def test_lists_add_up_and_may_be_empty(tmp_path: Path) -> None:
    texts = {"a": "2\n3\n", "b": "track_id\n3\n5\n", "c": "track_id,split\n", "d": ""}
    assert read_exclusions(write(tmp_path, text, name) for name, text in texts.items()) == {2, 3, 5}
    assert read_exclusions([]) == set()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2\n3 4\n", "line 2: '3 4' is not a track id, and the file has no column track_id"),
        ("id,split\n2,train\n", "line 1: 'id,split' is not"),
        ('track_id,title\n2,"two\nlines"\n-1,x\n', "line 4: '-1' is not a track id, in column track_id"),
        ("title,track_id\na\n", "line 2: '' is not"),
        ("track_id\n2.0\n", "line 2: '2.0'"),
    ],
)
def test_what_is_no_id_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(LitGenreError, match=said) as error:
        read_exclusions([path])
    assert str(path) in str(error.value)


def test_what_is_no_file_of_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe2\x00")
    for name, said in (("absent", "There is no list"), ("", "Is a directory"), ("binary", "not UTF-8")):
        with pytest.raises(LitGenreError, match=said) as error:
            read_exclusions([tmp_path / name])
        assert str(tmp_path / name) in str(error.value)
