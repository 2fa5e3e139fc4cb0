import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from lit_genre.errors import LitGenreError
from lit_genre.prepare import unpack as module
from lit_genre.prepare.unpack import unpack
from tests.helpers.archives import checksums, info, mp3s, write_archive

FILES = mp3s(30)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "fma_small.zip", FILES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def assert_unpacked(root: Path, files: dict[str, bytes] = FILES) -> None:
    found = {p.relative_to(root / "fma_small").as_posix() for p in root.rglob("*") if p.is_file()}
    assert found == {*files, "README.txt", "checksums"}
    for name, content in files.items():
        assert (root / "fma_small" / name).read_bytes() == content


def test_every_file_is_there_and_can_be_written(archive: Path, root: Path) -> None:
    sizes = unpack(archive, root, all_listed=True)
    assert_unpacked(root)
    assert sizes["fma_small/000/000002.mp3"] == 2000
    assert sizes.keys() == {f"fma_small/{name}" for name in (*FILES, "README.txt", "checksums")}
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / "fma_small/000/000002.mp3").stat().st_mode) == 0o666 & ~umask


def test_existing_files_are_kept(archive: Path, root: Path) -> None:
    unpack(archive, root, all_listed=True)
    path = root / "fma_small/000/000002.mp3"
    before = path.stat()
    (root / "fma_small/000/000003.mp3").unlink()
    unpack(archive, root, all_listed=True)
    assert_unpacked(root)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("name", ["000/000002.mp3", "README.txt"])
def test_another_file_of_that_name_is_not_changed(archive: Path, root: Path, name: str) -> None:
    path = root / "fma_small" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(LitGenreError, match=f"{name} exists, and is not the file"):
        unpack(archive, root, all_listed=True)
    assert path.read_text() == "mine"


def test_a_link_that_leads_elsewhere_is_not_followed(archive: Path, root: Path, tmp_path: Path) -> None:
    path = root / "fma_small/000/000002.mp3"
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LitGenreError, match="000002.mp3 exists"):
        unpack(archive, root, all_listed=True)
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_in_the_place_of_an_unfinished_file_is_not_followed(archive: Path, root: Path, tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", root / "fma_small/000"
    victim.write_text("mine")
    folder.mkdir(parents=True)
    (folder / ".000002.mp3.part").symlink_to(victim)
    (folder / ".000003.mp3.part").symlink_to(tmp_path / "absent")
    unpack(archive, root, all_listed=True)
    assert_unpacked(root)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "absent").exists()


def test_a_link_that_comes_in_the_last_moment_is_refused(
    archive: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, unlink = tmp_path / "victim", Path.unlink
    victim.write_text("mine")

    def unlink_and_link(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name == ".000002.mp3.part" and not path.with_name("linked").exists():
            path.with_name("linked").touch()
            path.symlink_to(victim)

    monkeypatch.setattr(Path, "unlink", unlink_and_link)
    with pytest.raises(LitGenreError, match="File exists"):
        unpack(archive, root, all_listed=True, workers=1)
    assert victim.read_text() == "mine"


def test_a_file_that_differs_from_its_checksum_is_not_unpacked(tmp_path: Path, root: Path) -> None:
    archive = write_archive(tmp_path / "fma_small.zip", FILES, {**FILES, "000/000007.mp3": b"other"})
    with pytest.raises(LitGenreError, match="000007.mp3 differs from its checksum"):
        unpack(archive, root, all_listed=True)
    assert not list(root.rglob("*000007*"))


def test_a_damaged_file_is_an_error(archive: Path, root: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"BZh", len(content) // 2) + 500] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(LitGenreError, match=r"fma_small/000/0000..\.mp3 is damaged|differs from its checksum"):
        unpack(archive, root, all_listed=True)


def test_an_archive_that_is_cut_off_is_an_error(archive: Path, root: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(LitGenreError, match="is not a complete zip"):
        unpack(archive, root, all_listed=True)


LISTINGS = {
    "lists a file that is missing, fma_small/000/000030.mp3 (1": checksums(mp3s(31)),
    "has no checksum of fma_small/000/000029.mp3 (1": checksums(mp3s(29)),
    "has no checksum of fma_small/000/000000.mp3 (30": b"",
    "line 2 is not a SHA-1 and a name: 'nonsense'": checksums(mp3s(1)) + b"nonsense\n",
    "line 31 has a second checksum of 000/000000.mp3": checksums(FILES) + checksums({"000/000000.mp3": b""}),
}


@pytest.mark.parametrize("message", LISTINGS)
def test_checksums_that_do_not_fit_are_an_error(tmp_path: Path, root: Path, message: str) -> None:
    archive = write_archive(tmp_path / "fma_small.zip", FILES, LISTINGS[message])
    with pytest.raises(LitGenreError) as error:
        unpack(archive, root, all_listed=True)
    assert message in str(error.value)
    assert not root.exists()


def test_missing_checksums_are_an_error(tmp_path: Path, root: Path) -> None:
    archive = tmp_path / "fma_small.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(info("fma_small/000/000002.mp3"), b"")
    with pytest.raises(LitGenreError, match="lacks fma_small/checksums"):
        unpack(archive, root, all_listed=True)


def test_metadata_may_hold_files_without_a_checksum_but_not_wrong_ones(tmp_path: Path, root: Path) -> None:
    files = {"tracks.csv": b"a" * 10_000, "not_found.pickle": b"b", "raw_genres.csv": b"c"}
    listed = {"tracks.csv": files["tracks.csv"]}
    archive = write_archive(tmp_path / "fma_metadata.zip", files, listed)
    unpack(archive, root, all_listed=False)
    assert (root / "fma_metadata/raw_genres.csv").read_bytes() == b"c"
    # Without a SHA-1, the zip's own checksum stands in.
    (root / "fma_metadata/raw_genres.csv").write_bytes(b"d")
    with pytest.raises(LitGenreError, match="raw_genres.csv exists"):
        unpack(archive, root, all_listed=False)


def test_a_full_disk_is_an_error_and_the_unpacked_files_are_kept(
    archive: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, written = module._passes, []

    def fill(*arguments: object) -> bool:
        written.append(arguments)
        if len(written) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return passes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_passes", fill)
    with pytest.raises(LitGenreError, match="No space left.*resumes there"):
        unpack(archive, root, all_listed=True, workers=1)
    assert len([path for path in root.rglob("*") if path.is_file()]) == 10
    monkeypatch.undo()
    unpack(archive, root, all_listed=True)
    assert_unpacked(root)


LAUNCH = """
import sys
from pathlib import Path
from lit_genre.prepare.unpack import unpack
unpack(Path(sys.argv[1]), Path(sys.argv[2]), True, 2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_unpacking_is_resumed(tmp_path: Path, root: Path, number: int) -> None:
    files = mp3s(60, 100_000)
    archive = write_archive(tmp_path / "fma_small.zip", files)
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(archive), str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (root / "fma_small/000/000007.mp3").exists():
        time.sleep(0.001)
    process.send_signal(number)
    assert process.wait(10) != 0
    there = {path: path.stat().st_mtime_ns for path in root.rglob("*.mp3")}
    assert 0 < len(there) < len(files)
    for path in there:
        assert path.read_bytes() == files[path.relative_to(root / "fma_small").as_posix()]
    unpack(archive, root, all_listed=True)
    assert_unpacked(root, files)
    assert all(path.stat().st_mtime_ns == time_then for path, time_then in there.items())


def test_no_thread_outlives_an_error(archive: Path, root: Path) -> None:
    (root / "fma_small/000").mkdir(parents=True)
    (root / "fma_small/000/000000.mp3").write_text("mine")
    before = threading.active_count()
    with pytest.raises(LitGenreError):
        unpack(archive, root, all_listed=True, workers=4)
    assert threading.active_count() == before
    assert not list(root.rglob(".*"))
