import struct
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lit_genre.errors import LitGenreError
from lit_genre.prepare.members import read_member, read_members
from tests.helpers.archives import info, mp3s, write_archive


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fma_small.zip"


def write(path: Path, *entries: zipfile.ZipInfo, content: bytes = b"content") -> None:
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for entry in entries:
            archive.writestr(entry, content)


def patch(path: Path, old: bytes, new: bytes, count: int = -1) -> None:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, count))


def test_members_are_read(path: Path) -> None:
    files = mp3s(3, 700_000)
    write_archive(path, files)
    members = {member.name: member for member in read_members(path)}
    assert members.keys() == {f"fma_small/{name}" for name in ("README.txt", "checksums", *files)}
    for name, content in files.items():
        assert b"".join(read_member(path, members[f"fma_small/{name}"])) == content


def test_reads_folders_and_files_that_are_not_compressed(path: Path) -> None:
    write(path, info("fma_small/", 0o40555), info("fma_small/000/", 0o40555), info("fma_small/000/1.mp3", method=0))
    (member,) = read_members(path)
    assert b"".join(read_member(path, member)) == b"content"


UNSAFE = [
    "../x.mp3",
    "fma_small/../../x.mp3",
    "fma_small/./x.mp3",
    "fma_small//x.mp3",
    "/fma_small/x.mp3",
    "//host/fma_small/x.mp3",
    "C:/fma_small/x.mp3",
    "fma_small/C:x.mp3",
    "fma_small/x.mp3:stream",
    "fma_small\\x.mp3",
    "fma_small/..\\x.mp3",
    "fma_small/x.mp3.",
    "fma_small/x.mp3 ",
    "fma_small/.x.mp3",
    "fma_small/.x.mp3.part",
    "fma_small/~x",
    "fma_small/-x",
    "fma_small/x\n.mp3",
    "fma_small/ｘ.mp3",
    "fma_small/e\u0301.mp3",
    "",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_lead_elsewhere_are_refused(path: Path, name: str) -> None:
    write(path, info("fma_small/checksums"), info(name))
    with pytest.raises(LitGenreError, match="not safe to write to"):
        read_members(path)


def test_a_name_with_a_nul_is_refused(path: Path) -> None:
    write(path, info("fma_small/x.mp3!y"))
    patch(path, b"x.mp3!y", b"x.mp3\0y")
    with pytest.raises(LitGenreError, match="not safe to write to"):
        read_members(path)


@pytest.mark.parametrize(
    "name", ["x.mp3", "fma_large/x.mp3", "fma_small", "FMA_small/x.mp3", "fma_metadata/tracks.csv"]
)
def test_what_is_outside_the_archives_folder_is_refused(path: Path, name: str) -> None:
    write(path, info(name))
    with pytest.raises(LitGenreError, match="not in the folder fma_small"):
        read_members(path)


# Link, pipe, character and block device, socket, and a folder that is called as a file is.
@pytest.mark.parametrize("mode", [0o120777, 0o10644, 0o20644, 0o60644, 0o140644, 0o40755])
def test_links_and_special_files_are_refused(path: Path, mode: int) -> None:
    write(path, info("fma_small/x.mp3", mode), content=b"/etc/passwd")
    with pytest.raises(LitGenreError, match="a link or another special file"):
        read_members(path)


@pytest.mark.parametrize(
    "names", [("x.mp3", "x.mp3"), ("x.mp3", "X.MP3"), ("x", "x/y.mp3"), ("x/y.mp3", "X"), ("x/", "x"), ("x", "X/")]
)
def test_two_entries_for_one_path_are_refused(path: Path, names: tuple[str, str]) -> None:
    write(path, *(info(f"fma_small/{name}", 0) for name in names))
    with pytest.raises(LitGenreError, match="another file or folder of this path|as a file"):
        read_members(path)


def test_encrypted_files_are_refused(path: Path) -> None:
    write(path, info("fma_small/x.mp3"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match="encrypted"):
        read_members(path)


@pytest.mark.parametrize("method", [8, 14, 99])
def test_other_compression_is_refused(path: Path, method: int) -> None:
    write(path, info("fma_small/x.mp3"))
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, method)
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match=f"method {method}"):
        read_members(path)


def with_sizes(path: Path, name: str, n_bytes: int | None = None, compressed: int | None = None) -> None:
    """Write other sizes into the directory of the archive."""
    content = bytearray(path.read_bytes())
    entry = content.rindex(name.encode()) - 46
    for offset, value in ((20, compressed), (24, n_bytes)):
        if value is not None:
            struct.pack_into("<I", content, entry + offset, value)
    path.write_bytes(content)


def test_overlapping_files_are_refused(path: Path) -> None:
    write(path, info("fma_small/a.mp3"), info("fma_small/b.mp3"))
    with_sizes(path, "fma_small/a.mp3", compressed=100)
    with pytest.raises(LitGenreError, match="overlaps"):
        read_members(path)


def test_two_names_for_one_content_are_refused(path: Path) -> None:
    write(path, info("fma_small/a.mp3"), info("fma_small/b.mp3"))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"fma_small/b.mp3") - 4, 0)
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match="overlaps"):
        read_members(path)


def read_all(path: Path) -> list[bytes]:
    return [b"".join(read_member(path, member)) for member in read_members(path)]


def test_the_local_header_must_agree(path: Path) -> None:
    write(path, info("fma_small/a.mp3"))
    patch(path, b"fma_small/a.mp3", b"fma_small/b.mp3", 1)
    with pytest.raises(LitGenreError, match="is not at the position that the directory gives"):
        read_all(path)


def test_a_local_header_cannot_lead_into_the_next_file(path: Path) -> None:
    write(path, info("fma_small/a.mp3"), info("fma_small/b.mp3"))
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, 28, 20)  # length of the extra field
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match="a.mp3 overlaps"):
        read_all(path)


def test_fewer_bytes_than_in_the_directory_are_an_error(path: Path) -> None:
    write(path, info("fma_small/a.mp3"))
    with_sizes(path, "fma_small/a.mp3", n_bytes=8)
    with pytest.raises(LitGenreError, match="ends after 7 of 8 bytes"):
        read_all(path)


def test_a_bomb_is_stopped_at_the_size_of_the_directory(path: Path) -> None:
    zeros = 50_000_000
    write(path, info("fma_small/a.mp3"), content=bytes(zeros))
    assert path.stat().st_size < 1000
    with_sizes(path, "fma_small/a.mp3", n_bytes=1_000_000)
    (member,) = read_members(path)
    pieces: list[int] = []
    with pytest.raises(LitGenreError, match="more than the 1,000,000 bytes"):
        pieces.extend(len(piece) for piece in read_member(path, member))
    assert sum(pieces) <= 1_000_000
    assert max(pieces) <= 1 << 18


def test_a_stream_that_is_cut_off_ends(path: Path) -> None:
    (content,) = mp3s(1).values()
    write(path, info("fma_small/a.mp3"), content=content)
    (member,) = read_members(path)
    with pytest.raises(LitGenreError, match="ends after"):
        list(read_member(path, replace(member, compressed_bytes=member.compressed_bytes // 2)))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(17)])
def test_a_file_that_is_no_zip_is_an_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LitGenreError, match="is not a complete zip"):
        read_members(path)
