import errno
import os
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

from lit_genre.errors import LitGenreError
from lit_genre.prepare import archive as module
from lit_genre.prepare import download
from lit_genre.prepare.archive import ARCHIVES, Archive, fetch, find_size
from tests.helpers.archives import mp3s
from tests.helpers.file_server import FileServer, serving

(CONTENT,) = mp3s(1, 300_000).values()
ARCHIVE = Archive("fma_small", sha1(CONTENT).hexdigest(), len(CONTENT), 1)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as files:
        yield files


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.001)


def test_every_subset_has_a_sha1() -> None:
    assert ARCHIVES.keys() == {"metadata", "small", "medium", "large", "full"}
    assert all(len(bytes.fromhex(archive.sha1)) == 20 for archive in ARCHIVES.values())
    assert ARCHIVES["full"].n_bytes is None
    assert ARCHIVES["medium"].name == "fma_medium.zip"


def test_a_download_gets_its_name_when_it_is_verified(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["drop"]
    path = fetch(ARCHIVE, server.url, tmp_path / "archives")
    assert path.read_bytes() == CONTENT
    assert {file.name for file in path.parent.iterdir()} == {"fma_small.zip", "fma_small.zip.verified"}


def test_a_verified_archive_is_not_read_again(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(ARCHIVE, server.url, tmp_path)
    monkeypatch.setattr(module, "_sha1", None)
    fetch(ARCHIVE, server.url, tmp_path)
    assert len(server.asked) == 1
    assert "already downloaded and verified" in "".join(capsys.readouterr())


def test_another_content_is_refused_and_downloaded_anew(server: FileServer, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(LitGenreError, match=f"its SHA-1 is {sha1(CONTENT[::-1]).hexdigest()}, not {ARCHIVE.sha1}"):
        fetch(ARCHIVE, server.url, tmp_path)
    assert not list(tmp_path.glob("*.zip*"))
    server.content = CONTENT
    assert fetch(ARCHIVE, server.url, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["fma_small.zip.part", ".fma_small.zip.part.version.part", "fma_small.zip.verified"])
def test_a_link_in_the_place_of_a_download_is_not_followed(server: FileServer, tmp_path: Path, name: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "archives"
    victim.write_text("mine")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    assert fetch(ARCHIVE, server.url, folder).read_bytes() == CONTENT
    assert victim.read_text() == "mine"


def test_a_damaged_beginning_is_found_at_the_end(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "fma_small.zip.part").write_bytes(bytes(1000))
    with pytest.raises(LitGenreError, match="It was deleted"):
        fetch(ARCHIVE, server.url, tmp_path)
    assert fetch(ARCHIVE, server.url, tmp_path).read_bytes() == CONTENT


def test_archives_in_a_folder_are_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "fma_small.zip").write_bytes(CONTENT)
    assert fetch(ARCHIVE, str(tmp_path / "mirror"), tmp_path / "archives") == tmp_path / "mirror" / "fma_small.zip"
    assert {file.name for file in (tmp_path / "mirror").iterdir()} == {"fma_small.zip"}


@pytest.mark.parametrize(
    ("content", "message"), [(CONTENT[::-1], "SHA-1 is"), (CONTENT[:-1], "299,999 bytes, not 300,000")]
)
def test_a_wrong_archive_in_a_folder_is_refused_and_kept(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "fma_small.zip").write_bytes(content)
    with pytest.raises(LitGenreError, match=message):
        fetch(ARCHIVE, str(tmp_path), tmp_path / "archives")
    assert (tmp_path / "fma_small.zip").read_bytes() == content


def test_an_archive_that_changed_after_it_was_verified_is_verified_again(server: FileServer, tmp_path: Path) -> None:
    path = fetch(ARCHIVE, server.url, tmp_path)
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(LitGenreError, match="not FMA's archive"):
        fetch(ARCHIVE, server.url, tmp_path)


def test_a_folder_without_the_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match=r"There is no .*fma_small.zip"):
        fetch(ARCHIVE, str(tmp_path), tmp_path / "archives")


def test_a_full_disk_is_an_error(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(part: object, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download._Part, "append", fill)
    with pytest.raises(LitGenreError, match="cannot be written to .*No space left on device.*resumes there"):
        fetch(ARCHIVE, server.url, tmp_path)


def test_an_unpublished_size_is_requested_from_the_server(server: FileServer, tmp_path: Path) -> None:
    unknown = Archive("fma_full", ARCHIVE.sha1, None)
    assert find_size(unknown, server.url, 5.0) == len(CONTENT)
    assert find_size(unknown, "http://127.0.0.1:1", 5.0) == 0
    (tmp_path / "fma_full.zip").write_bytes(b"12345")
    assert find_size(unknown, str(tmp_path), 5.0) == 5
    assert find_size(ARCHIVE, "http://127.0.0.1:1", 5.0) == len(CONTENT)
