import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from hashlib import sha1
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import TrackAudio, decode_track
from lit_genre.data.store import builder as store_builder
from lit_genre.data.store import lock
from lit_genre.data.store.index import read_index
from lit_genre.errors import LitGenreError
from lit_genre.prepare import space
from lit_genre.prepare import steps as module
from lit_genre.prepare.archive import ARCHIVES, Archive
from lit_genre.prepare.command import prepare
from lit_genre.prepare.space import Step, check_space
from tests.helpers.archives import write_archive
from tests.helpers.file_server import FileServer, serving


@pytest.fixture(scope="module")
def mirror(fma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archives of a small data set."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in ("fma_metadata", "fma_small"):
        paths = [path for path in sorted((fma / name).rglob("*")) if path.is_file() and path.name != "README.txt"]
        files = {path.relative_to(fma / name).as_posix(): path.read_bytes() for path in paths}
        write_archive(folder / f"{name}.zip", files)
    return folder


@pytest.fixture(autouse=True)
def archives(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, n_tracks in (("metadata", 0), ("small", 24)):
        content = (mirror / f"{ARCHIVES[key].folder}.zip").read_bytes()
        archive = Archive(ARCHIVES[key].folder, sha1(content).hexdigest(), len(content), n_tracks)
        monkeypatch.setitem(ARCHIVES, key, archive)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(mirror: Path) -> Iterator[FileServer]:
    with serving((mirror / "fma_small.zip").read_bytes()) as files:
        files.others["/fma_metadata.zip"] = (mirror / "fma_metadata.zip").read_bytes()
        yield files


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    for where in (module.console, module.results):
        monkeypatch.setattr(where, "_width", 200)
    return lambda: "".join(capsys.readouterr())


def test_one_command_downloads_and_decodes_and_a_second_one_skips_all(
    run: Callable[..., None],
    server: FileServer,
    root: Path,
    printed: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("prepare", "--root", root, "--base_url", server.url)
    first = printed()
    assert len(read_index(next((root / "pcm").iterdir()))) == 24
    assert {path.name for path in (root / "archives").iterdir()} == {"lock"}
    assert "left out" in first
    assert re.search(r"Folk\W+1\W+1\W+1\W+0", first)
    assert "Seconds: download" in first
    monkeypatch.setattr(store_builder, "decode_track", None)
    run("prepare", "--root", root, "--base_url", server.url)
    assert server.asked == ["", ""]
    second = printed()
    assert second.count("already") == 3
    assert "Downloading" not in second


def test_a_folder_of_archives_is_not_changed(mirror: Path, root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in mirror.iterdir()}
    prepare(root=root, base_url=str(mirror), decode=False)
    assert {path: path.stat().st_mtime_ns for path in mirror.iterdir()} == before
    assert (root / "fma_metadata" / "tracks.csv").exists()


def test_archives_are_kept_where_asked(server: FileServer, root: Path) -> None:
    prepare(root=root, base_url=server.url, decode=False, keep_archives=True)
    (root / "fma_small" / "checksums").unlink()
    prepare(root=root, base_url=server.url, decode=False, keep_archives=True)
    assert (root / "archives" / "fma_small.zip").exists()
    assert len(server.asked) == 2


def test_an_archive_that_was_put_there_by_hand_is_used_and_kept(mirror: Path, server: FileServer, root: Path) -> None:
    (root / "archives").mkdir(parents=True)
    shutil.copy(mirror / "fma_small.zip", root / "archives")
    prepare(root=root, base_url=server.url, decode=False)
    assert server.asked == [""]  # For the metadata.
    assert (root / "archives" / "fma_small.zip").read_bytes() == (mirror / "fma_small.zip").read_bytes()
    assert not (root / "archives" / "fma_metadata.zip").exists()


def test_without_decoding_there_is_no_store(mirror: Path, root: Path, printed: Callable[[], str]) -> None:
    prepare(root=root, base_url=str(mirror), decode=False)
    assert not (root / "pcm").exists()
    assert "The audio was not decoded" in printed()


def test_full_is_not_decoded_unless_asked(
    fma: Path, mirror: Path, root: Path, printed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {str(path.relative_to(fma / "fma_small")): path.read_bytes() for path in (fma / "fma_small").rglob("*.mp3")}
    path = write_archive(mirror / "fma_full.zip", files)
    monkeypatch.setitem(ARCHIVES, "full", Archive("fma_full", sha1(path.read_bytes()).hexdigest(), None, 24))
    prepare("full", root, str(mirror))
    assert "The audio was not decoded" in printed()
    prepare("full", root, str(mirror), decode=True)
    assert len(read_index(next((root / "pcm").iterdir()))) == 24
    path.unlink()


def test_missing_files_are_unpacked_again(mirror: Path, root: Path, printed: Callable[[], str]) -> None:
    prepare(root=root, base_url=str(mirror), decode=False)
    clips = sorted(root.rglob("*.mp3"))
    clips[0].unlink()
    printed()
    prepare(root=root, base_url=str(mirror), decode=False)
    assert "1 of 26 files are missing or changed" in printed()
    assert clips[0].exists()


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"sha1": "other", "files": {}}'])
def test_an_invalid_record_is_ignored(mirror: Path, root: Path, record: str) -> None:
    (root / "fma_small").mkdir(parents=True)
    (root / "fma_small" / ".unpacked.json").write_text(record)
    prepare(root=root, base_url=str(mirror), decode=False)
    assert len(list(root.rglob("*.mp3"))) == 24


def test_a_link_in_the_place_of_the_record_is_not_followed(mirror: Path, root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (root / "fma_small").mkdir(parents=True)
    (root / "fma_small" / "..unpacked.json.part").symlink_to(victim)
    (root / "archives").mkdir()
    (root / "archives" / ".fma_small.zip.verified.part").symlink_to(victim)
    prepare(root=root, base_url=str(mirror), decode=False)
    assert victim.read_text() == "mine"
    assert (root / "fma_small" / ".unpacked.json").exists()


def test_other_files_are_not_changed(mirror: Path, root: Path) -> None:
    (root / "fma_metadata").mkdir(parents=True)
    (root / "fma_metadata" / "tracks.csv").write_text("mine")
    with pytest.raises(LitGenreError, match=r"tracks.csv exists, and is not the file that fma_metadata.zip has"):
        prepare(root=root, base_url=str(mirror))
    assert (root / "fma_metadata" / "tracks.csv").read_text() == "mine"


def test_tracks_that_cannot_be_decoded_are_listed(
    fma: Path, mirror: Path, root: Path, tmp_path: Path, printed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted((fma / "fma_small").rglob("*.mp3"))
    files = {str(path.relative_to(fma / "fma_small")): path.read_bytes() for path in paths}
    files["000/000002.mp3"] = b"not audio"
    path = write_archive(tmp_path / "fma_small.zip", files)
    (tmp_path / "fma_metadata.zip").symlink_to(mirror / "fma_metadata.zip")
    monkeypatch.setitem(ARCHIVES, "small", Archive("fma_small", sha1(path.read_bytes()).hexdigest(), None, 24))
    lost = {3: TrackStatus("recovered", 0.5), 4: TrackStatus("truncated", 1.0), 5: TrackStatus("truncated", 6.0)}

    def decode(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        audio = decode_track(path, *arguments, **options)
        audio.status = lost.get(int(path.stem), audio.status)
        return audio

    monkeypatch.setattr(store_builder, "decode_track", decode)
    prepare(root=root, base_url=str(tmp_path))
    text = printed()
    assert "Left out: track 2, " in text
    assert "Left out: track 5, only 2.0 of 8.0 s could be decoded" in text
    assert "Decoded in part: 1 of 22 tracks recovered, 1 truncated, 1.5 s missing in all" in text
    assert "Decoded: 20 complete, 1 recovered, 2 truncated, 1 failed" in text


def test_ctrl_c_prints_how_to_resume(mirror: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "unpack", interrupt)
    with pytest.raises(SystemExit, match="The same command resumes here"):
        prepare(root=root, base_url=str(mirror), decode=False)
    monkeypatch.undo()


def test_a_second_process_waits_and_has_nothing_to_do(
    server: FileServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    for where in (lock, module):
        monkeypatch.setattr(where, "console", SimpleNamespace(print=lambda line, **_: lines.append(str(line))))
    (root / "archives").mkdir(parents=True)
    threads = [Thread(target=prepare, kwargs={"root": root, "base_url": server.url, "decode": False}) for _ in range(2)]
    with FileLock(root / "archives" / "lock"):
        for thread in threads:
            thread.start()
        while sum("waiting" in line for line in lines) < 2 and all(thread.is_alive() for thread in threads):
            time.sleep(0.01)
        assert not server.asked
    for thread in threads:
        thread.join()
    assert server.asked == ["", ""]
    assert sum("already verified and unpacked" in line for line in lines) == 2


def test_a_disk_that_is_too_small_is_an_error_before_the_download(
    server: FileServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 24 clips of 30 s at 22,050 Hz are 31.8 MB; the archives are under 1 MB.
    for megabytes in (0, 10, 31):
        monkeypatch.setattr(space.shutil, "disk_usage", lambda path, m=megabytes: SimpleNamespace(free=m * 1_000_000))
        with pytest.raises(LitGenreError, match="decoded audio 31.8 MB"):
            prepare(root=root, base_url=server.url)
    assert not server.asked
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=34_000_000))
    prepare(root=root, base_url=server.url)
    # What is done needs nothing more.
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    prepare(root=root, base_url=server.url)


@pytest.mark.parametrize(("free", "fits"), [(19, False), (20, True)])
def test_deleted_archives_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool) -> None:
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    steps = [
        Step("archive", tmp_path / "not" / "there", 10),
        Step("files", tmp_path, 10),
        Step("archive", tmp_path, -10),
        Step("store", tmp_path, 9),
    ]
    with nullcontext() if fits else pytest.raises(LitGenreError, match="19 bytes free, but 20 bytes are needed"):
        check_space(steps)


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"timeout": 0}, {"sample_rate": 0}])
def test_arguments_out_of_range_are_an_error(root: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(LitGenreError, match=f"{next(iter(arguments))} is 0"):
        prepare(root=root, **arguments)  # type: ignore[arg-type]
