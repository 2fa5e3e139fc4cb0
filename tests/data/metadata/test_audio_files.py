import os
from pathlib import Path

import pytest

from lit_genre.data.datamodules.predict import PredictDataModule
from lit_genre.data.metadata.audio_files import (
    HIDDEN,
    NO_FILE,
    NO_SUFFIX,
    SUFFIXES,
    SYSTEM,
    describe_left_out,
    find_audio_files,
    readable,
    scan,
)
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
    (tmp_path / "a b" / "._x.mp3").write_bytes(b"what another system leaves next to x.mp3")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a b")
    (tmp_path / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    os.mkfifo(tmp_path / "endless.mp3")
    found = find_audio_files([tmp_path])
    assert {path.name for path in found.files} == {path.name for path in expected} | {"gone.mp3"}
    assert len(found.files) == 4
    assert found.left_out == {(NO_SUFFIX, ".jpg"): 1, (HIDDEN, ".mp3"): 1, (NO_FILE, ".mp3"): 1}


@pytest.mark.parametrize("depth", ["", "a/", "a/b/c/"])
def test_one_rule_leaves_out_hidden_and_system_folders_at_every_depth(tmp_path: Path, depth: str) -> None:
    hidden = [".Trash-1000/files/x.mp3", ".Trashes/501/y/x.MP3", ".hidden/x.flac", ".x.flac", "._x.mp3"]
    system = ["$RECYCLE.BIN/S-1-5/x.mp3", "System Volume Information/x.mp3", "@eaDir/x.mp3/x.mp3", "__MACOSX/x.mp3",
              "lost+found/x.flac", "#recycle/x.flac"]  # fmt: skip
    for name in (*hidden, *system, ".hidden/cover.jpg", ".DS_Store"):
        write(tmp_path / f"{depth}{name}")
    kept = [write(tmp_path / f"{depth}...And You Will Know Us/x.mp3"), write(tmp_path / f"{depth}x.mp3")]
    (tmp_path / f"{depth}.link").symlink_to(tmp_path / f"{depth}...And You Will Know Us")
    found = find_audio_files([tmp_path])
    assert sorted(found.files) == sorted(kept)
    assert found.left_out == {
        (HIDDEN, ".mp3"): 3, (HIDDEN, ".flac"): 2, (SYSTEM, ".mp3"): 4, (SYSTEM, ".flac"): 2
    }  # fmt: skip
    assert describe_left_out(found.left_out) == [
        "Left out: 5 files, hidden, or in a hidden folder (3 .mp3, 2 .flac)",
        "Left out: 6 files, in a folder of the system, such as its trash (4 .mp3, 2 .flac)",
    ]


@pytest.mark.parametrize("name", [".music", "$RECYCLE.BIN", ".x/music"])
def test_a_hidden_folder_or_file_that_is_named_is_read(tmp_path: Path, name: str) -> None:
    song = write(tmp_path / name / "a" / "x.mp3")
    hidden = write(tmp_path / name / ".y.mp3")
    assert find_audio_files([tmp_path / name]).files == [song]
    assert find_audio_files([hidden]).files == [hidden]


RARE = [
    ".mp4",
    ".mkv",
    ".mka",
    ".spx",
    ".mpga",
    ".mp1",
    ".wave",
    ".alac",
    ".dff",
    ".avi",
    ".mov",
    ".flv",
    ".ts",
    ".dts",
    ".eac3",
    ".ac3",
    ".oga",
    ".tak",
    ".ra",
    ".m4r",
]


@pytest.mark.parametrize("suffix", RARE)
def test_films_and_rare_formats_are_taken(tmp_path: Path, suffix: str) -> None:
    song = write(tmp_path / f"x{suffix.upper()}")
    assert find_audio_files([tmp_path]).files == [song]


def test_play_lists_notes_and_locked_music_are_not_taken() -> None:
    assert not SUFFIXES & {".m3u", ".cue", ".mid", ".mod", ".aax", ".m4p", ".jpg", ".txt", ".nfo", ""}


def test_many_kinds_that_are_left_out_take_one_line(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"x.{number:02}")
    write(tmp_path / "README")
    (line,) = describe_left_out(scan([tmp_path]).left_out)
    assert line.startswith("Left out: 21 files, not audio by the suffix (1 without a suffix, 1 .00, 1 .01")
    assert line.endswith("and 13 other kinds)")


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
    assert [path.name for path in find_audio_files([tmp_path]).files] == ["a.wav", "closed"]


def test_a_named_file_may_be_called_anything_and_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path / "null")
    assert find_audio_files([path, path]).files == [path]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="There is no file or folder .*nothing"):
        find_audio_files([tmp_path / "nothing"])
    with pytest.raises(LitGenreError, match="no audio in it"):
        find_audio_files([tmp_path])
    write(tmp_path / "x.mid")
    with pytest.raises(LitGenreError, match=r"no audio in it.*Left out: 1 file, not audio by the suffix \(1 .mid\)"):
        find_audio_files([tmp_path])
    assert scan([tmp_path]).files == []


def test_predictions_begin_with_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song = write(tmp_path / "x.mp3")
    write(tmp_path / ".hidden" / "y.mp3")
    data = PredictDataModule(tmp_path)
    data.predict_dataloader()
    assert data.files == [song]
    assert "".join(capsys.readouterr()) == "Left out: 1 file, hidden, or in a hidden folder (1 .mp3)\n"


def test_any_name_can_be_printed() -> None:
    assert readable(os.fsdecode(b"a\xffb\n\x1b[31m.mp3")) == "a\\udcffb\\n\\x1b[31m.mp3"
    assert readable("Björk – Jóga.mp3") == "Björk – Jóga.mp3"
