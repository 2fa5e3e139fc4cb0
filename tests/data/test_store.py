import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from filelock import FileLock

from lit_genre.data import lock, store, store_builder
from lit_genre.data.audio import decode
from lit_genre.data.store import PCMStore, read_index, store_folder
from lit_genre.data.store_builder import build_store
from lit_genre.errors import LitGenreError
from tests.conftest import tone

RATE = 22050


@pytest.fixture
def files(tmp_path: Path) -> dict[int, Path]:
    """Ten tones of different pitch and length."""
    paths = {10 * k: tmp_path / f"{k}.wav" for k in range(1, 11)}
    for track_id, path in paths.items():
        soundfile.write(path, tone(10 * track_id, 0.1 * track_id / 10 + 0.5), RATE)
    return paths


def whole(built: PCMStore, track_id: int) -> bytes:
    out = np.empty(built.entries[track_id].n_samples, dtype=np.int16)
    assert built.read(track_id, 0, out) == len(out)
    return out.tobytes()


def assert_holds(built: PCMStore, files: dict[int, Path]) -> None:
    assert list(built.entries) == list(files)
    for track_id, path in files.items():
        assert whole(built, track_id) == decode(path, RATE).tobytes()


def test_what_is_read_is_what_was_decoded(tmp_path: Path, files: dict[int, Path]) -> None:
    built = build_store(tmp_path / "s", files, RATE)
    assert_holds(built, files)
    assert not built.failures


def test_reads_an_excerpt_and_stops_at_the_end(tmp_path: Path, files: dict[int, Path]) -> None:
    built = build_store(tmp_path / "s", files, RATE)
    pcm = decode(files[20], RATE)
    out = np.full(100, 7, dtype=np.int16)
    assert built.read(20, 50, out) == 100
    assert (out == pcm[50:150]).all()
    out[:] = 7
    assert built.read(20, len(pcm) - 30, out) == 30
    assert (out[:30] == pcm[-30:]).all()
    assert (out[30:] == 7).all()


def test_second_build_decodes_nothing(tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    build_store(tmp_path / "s", files, RATE)
    monkeypatch.setattr(store_builder, "decode", None)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)


def test_a_changed_file_is_decoded_again(tmp_path: Path, files: dict[int, Path]) -> None:
    build_store(tmp_path / "s", files, RATE)
    soundfile.write(files[30], tone(1234, 2.0), RATE)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)


def test_bad_files_are_left_out_with_their_reason(tmp_path: Path, files: dict[int, Path]) -> None:
    files[20].write_text("not audio")
    files[40].write_bytes(b"")
    files[60].unlink()
    built = build_store(tmp_path / "s", files, RATE)
    assert set(built.failures) == {20, 40, 60}
    assert "no audio" in built.failures[20]
    assert built.failures[40] == "an empty file"
    assert built.failures[60] == "no such file"
    assert [built.entries[track_id].n_samples for track_id in (20, 40, 60)] == [0, 0, 0]
    soundfile.write(files[60], tone(500, 1.0), RATE)
    assert set(build_store(tmp_path / "s", files, RATE).failures) == {20, 40}


def test_goes_on_behind_a_torn_line_and_torn_samples(tmp_path: Path, files: dict[int, Path]) -> None:
    folder = tmp_path / "s"
    build_store(folder, dict(list(files.items())[:4]), RATE)
    with (folder / "index.csv").open("a") as index, (folder / "pcm.int16").open("ab") as pcm:
        index.write("50,12345,99")
        pcm.write(b"torn")
    assert_holds(build_store(folder, files, RATE), files)
    # From the disk, not from what the build had in mind.
    assert_holds(PCMStore(folder / "pcm.int16", read_index(folder)), files)


def test_a_line_whose_samples_were_lost_never_comes_true_again(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    build_store(folder, files, RATE)
    os.truncate(folder / "pcm.int16", 0)
    # Other samples where the first track's were, and a kill before their lines are written.
    soundfile.write(files[10], tone(77, 9.0), RATE)
    monkeypatch.setattr(store_builder._Writer, "commit", lambda writer: writer._pcm.flush())
    with pytest.raises(KeyError):
        build_store(folder, files, RATE)
    monkeypatch.undo()
    assert_holds(build_store(folder, files, RATE), files)


def test_lines_whose_samples_are_lost_do_not_count(tmp_path: Path, files: dict[int, Path]) -> None:
    folder = tmp_path / "s"
    build_store(folder, files, RATE)
    os.truncate(folder / "pcm.int16", 100_000)
    assert_holds(build_store(folder, files, RATE), files)


def test_ctrl_c_keeps_what_is_decoded(tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def decode_some(path: Path, sample_rate: int) -> object:
        if path == files[60]:
            raise KeyboardInterrupt
        return decode(path, sample_rate)

    monkeypatch.setattr(store_builder, "decode", decode_some)
    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "s", files, RATE, workers=1)
    decoded: list[Path] = []
    monkeypatch.setattr(store_builder, "decode", lambda path, rate: (decoded.append(path), decode(path, rate))[1])
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert set(decoded) == set(list(files.values())[5:])


def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    samples = tone(300, 20.0, 44100)
    files = {k: tmp_path / f"{k}.mp3" for k in range(150)}
    soundfile.write(files[0], samples, 44100)
    for path in list(files.values())[1:]:
        os.link(files[0], path)
    script = (
        "import sys; from pathlib import Path; from lit_genre.data.store_builder import build_store; "
        "folder = Path(sys.argv[1]); "
        "build_store(folder / 's', {k: folder / f'{k}.mp3' for k in range(150)}, 22050)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.DEVNULL)
    index = tmp_path / "s" / "index.csv"
    while process.poll() is None and not (index.exists() and index.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = index.read_bytes()
    assert 0 < before.count(b"\n") < len(files)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert index.read_bytes().startswith(before)


def _build_and_count(folder: Path, files: dict[int, Path], waiting: Any, decoded: Any) -> None:
    def say(text: str, **_: object) -> None:
        if "waiting" in text:
            with waiting.get_lock():
                waiting.value += 1

    def count(path: Path, sample_rate: int) -> object:
        with decoded.get_lock():
            decoded.value += 1
        return decode(path, sample_rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_builder, "decode", count)
        patch.setattr(lock, "console", SimpleNamespace(print=say))
        build_store(folder, files, RATE)


def test_two_processes_build_one_store(tmp_path: Path, files: dict[int, Path]) -> None:
    (tmp_path / "s").mkdir()
    context = multiprocessing.get_context("spawn")
    waiting, decoded = context.Value("i", 0), context.Value("i", 0)
    arguments = (tmp_path / "s", files, waiting, decoded)
    processes = [context.Process(target=_build_and_count, args=arguments) for _ in range(2)]
    with FileLock(tmp_path / "s" / "lock"):
        for process in processes:
            process.start()
        while waiting.value < 2 and all(process.is_alive() for process in processes):
            time.sleep(0.01)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert waiting.value == 2
    assert decoded.value == len(files)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)


def test_a_file_that_cannot_be_opened_is_left_out_and_tried_again(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, sample_rate: int) -> object:
        if path == files[30]:
            raise PermissionError(13, "Permission denied")
        return decode(path, sample_rate)

    monkeypatch.setattr(store_builder, "decode", refuse)
    assert build_store(tmp_path / "s", files, RATE).failures == {30: "Permission denied"}
    monkeypatch.undo()
    assert_holds(build_store(tmp_path / "s", files, RATE), files)


def test_folder_depends_on_what_determines_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {store_folder(Path("p"), "fma_small", rate) for rate in (16000, 22050)}
    monkeypatch.setattr(store, "DECODER", "another libsndfile")
    names.add(store_folder(Path("p"), "fma_small", 22050))
    assert len(names) == 3


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, files: dict[int, Path]) -> None:
    (tmp_path / "s").write_text("a file in the way")
    with pytest.raises(LitGenreError, match="cannot be written"):
        build_store(tmp_path / "s", files, RATE)


def test_a_damaged_index_is_said(tmp_path: Path, files: dict[int, Path]) -> None:
    build_store(tmp_path / "s", files, RATE)
    (tmp_path / "s" / "index.csv").write_text("not,an,index\n")
    with pytest.raises(LitGenreError, match="damaged"):
        build_store(tmp_path / "s", files, RATE)
