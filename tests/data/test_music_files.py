import os
from pathlib import Path

import pytest

from lit_genre.data.music_files import find_songs, readable
from lit_genre.errors import LitGenreError


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"found by its name")
    return path


def test_folders_are_searched_for_audio_and_links_followed_once(tmp_path: Path) -> None:
    expected = [
        write(tmp_path / "a b" / "new\nline.WAV"),
        write(tmp_path / "a b" / "x [1] 'q' null.mp3"),
        write(tmp_path / "a b" / "c.ogg").rename(tmp_path / "a b" / os.fsdecode(b"\xff\xfe.ogg")),
    ]
    (tmp_path / "a b" / "cover.jpg").write_bytes(b"no sound")
    (tmp_path / "a b" / "._x.mp3").write_bytes(b"what another system leaves beside x.mp3")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a b")
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    os.mkfifo(tmp_path / "endless.mp3")
    found = find_songs([tmp_path])
    assert {path.name for path in found} == {path.name for path in expected} | {"gone.mp3"}
    assert len(found) == 4


def test_a_folder_that_cannot_be_read_is_one_of_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "open" / "a.wav")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # chmod does not stop root
    assert [path.name for path in find_songs([tmp_path])] == ["a.wav", "closed"]


def test_a_named_file_may_be_called_anything_and_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "null")
    assert find_songs([path, path]) == [path]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="There is no file or folder .*nothing"):
        find_songs([tmp_path / "nothing"])
    with pytest.raises(LitGenreError, match="no audio in it"):
        find_songs([tmp_path])


def test_any_name_can_be_printed() -> None:
    assert readable(os.fsdecode(b"a\xffb\n\x1b[31m.mp3")) == "a\\udcffb\\n\\x1b[31m.mp3"
    assert readable("Björk – Jóga.mp3") == "Björk – Jóga.mp3"
