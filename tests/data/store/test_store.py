import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import soundfile
from filelock import FileLock

from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import TrackAudio, decode, decode_track
from lit_genre.data.store import builder as store_builder
from lit_genre.data.store import index as store_index
from lit_genre.data.store import lock
from lit_genre.data.store import pcm as store
from lit_genre.data.store import writer as store_writer
from lit_genre.data.store.builder import build_index, build_store
from lit_genre.data.store.index import COLUMNS, read_index, store_folder
from lit_genre.data.store.pcm import PCMStore, find_damaged, open_store
from lit_genre.errors import LitGenreError
from tests.helpers.audio import tone

RATE = 22050


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that are decoded from now on."""
    paths: list[Path] = []
    monkeypatch.setattr(store_builder, "decode_track", record(paths))
    return paths


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


def test_second_build_decodes_nothing(tmp_path: Path, files: dict[int, Path], decoded: list[Path]) -> None:
    build_store(tmp_path / "s", files, RATE)
    assert sorted(decoded) == sorted(files.values())
    decoded.clear()
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert not decoded
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"index.csv", "lock", "pcm-1.int16"}


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


def test_a_touched_file_is_not_decoded_again(tmp_path: Path, files: dict[int, Path], decoded: list[Path]) -> None:
    before = build_store(tmp_path / "s", files, RATE).entries
    decoded.clear()
    os.utime(files[30], ns=(1, 2))
    # Of the same size, but not the same.
    content = bytearray(files[40].read_bytes())
    content[1000] ^= 1
    files[40].write_bytes(content)
    built = build_store(tmp_path / "s", files, RATE)
    assert decoded == [files[40]]
    assert built.entries[30] == before[30]._replace(source_mtime_ns=2)
    assert_holds(built, files)
    decoded.clear()
    build_store(tmp_path / "s", files, RATE)
    assert not decoded


def test_a_file_that_could_not_be_decoded_is_tried_again_once_touched(
    tmp_path: Path, files: dict[int, Path], decoded: list[Path]
) -> None:
    files[40].write_bytes(b"not audio")
    build_store(tmp_path / "s", files, RATE)
    decoded.clear()
    os.utime(files[40], ns=(1, 2))
    assert set(build_store(tmp_path / "s", files, RATE).failures) == {40}
    assert decoded == [files[40]]


def test_the_index_is_a_table(tmp_path: Path, files: dict[int, Path]) -> None:
    files[20].write_bytes(b'no, "audio"')
    build_store(tmp_path / "s", files, RATE)
    table = pd.read_csv(tmp_path / "s" / "index.csv").set_index("track_id")
    assert (table.index.name, *table.columns) == COLUMNS
    assert sorted(table.index) == sorted(files)
    assert table["reason"].notna().sum() == 1
    assert table["status"].value_counts().to_dict() == {"complete": 9, "failed": 1}
    for track_id in set(files) - {20}:
        path, row = files[track_id], table.loc[track_id]
        assert row["crc32"] == crc32(decode(path, RATE).tobytes())
        assert row["source_crc32"] == crc32(path.read_bytes())
        assert row["n_samples"] == len(decode(path, RATE))
        assert row["seconds_lost"] == 0


def test_the_index_has_what_is_missing_of_a_track(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        audio = decode_track(path, *arguments, **options)
        audio.status = TrackStatus("truncated", 1.25) if path == files[50] else audio.status
        return audio

    monkeypatch.setattr(store_builder, "decode_track", lose)
    build_store(tmp_path / "s", files, RATE)
    entries = read_index(tmp_path / "s")
    assert (entries[50].status, entries[50].seconds_lost) == ("truncated", 1.25)
    assert entries[50].decoded_fraction(RATE) == pytest.approx(1 / 2.25)
    assert "1.2 of 2.2 s" in entries[50].describe(RATE)
    assert (entries[40].status, entries[40].decoded_fraction(RATE), entries[40].describe(RATE)) == ("complete", 1, "")


def test_lengths_are_measured_without_samples(tmp_path: Path, files: dict[int, Path]) -> None:
    index = build_index(tmp_path / "s", files, RATE, keep_samples=False)
    assert {i: entry.n_samples for i, entry in index.items()} == {i: len(decode(p, RATE)) for i, p in files.items()}
    assert not (tmp_path / "s" / "pcm-1.int16").stat().st_size
    assert build_index(tmp_path / "s", files, RATE, keep_samples=False) == index


def test_a_long_track_passes_through_the_folder_of_the_store_in_blocks(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 min, 38 MB of samples, a few MB are in memory at a time."""
    soundfile.write(tmp_path / "long.wav", np.tile(tone(300, 1.0, 8000), 2400), 8000, subtype="PCM_16")
    folders = []

    def record(path: Path, *arguments: Any, folder: Path, **options: Any) -> TrackAudio:
        folders.append(folder)
        return decode_track(path, *arguments, folder=folder, **options)

    monkeypatch.setattr(store_builder, "decode_track", record)
    build_store(tmp_path / "warm", {1: files[10]}, 8000)
    tracemalloc.start()
    built = build_store(tmp_path / "s", {1: tmp_path / "long.wav"}, 8000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert built.entries[1].n_samples == 2400 * 8000
    assert peak < 12_000_000
    assert folders[-1].parent == tmp_path / "s"
    assert not folders[-1].exists()


def test_goes_on_behind_a_torn_line_and_torn_samples(tmp_path: Path, files: dict[int, Path]) -> None:
    folder = tmp_path / "s"
    build_store(folder, dict(list(files.items())[:4]), RATE)
    with (folder / "index.csv").open("a") as index, (folder / "pcm-1.int16").open("ab") as pcm:
        index.write("50,12345,99")
        pcm.write(b"torn!")
    assert_holds(build_store(folder, files, RATE), files)
    # From the disk, not from what the build had in mind.
    assert_holds(open_store(folder), files)


class KilledError(Exception):
    pass


def kill(writer: store_writer.StoreWriter) -> None:
    """End a build where a kill would: the samples of all tracks are written, and their lines are not."""
    writer._pcm.flush()
    raise KilledError


def test_a_line_whose_samples_were_lost_never_comes_true_again(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    build_store(folder, files, RATE)
    os.truncate(folder / "pcm-1.int16", 0)
    # Other samples where the first track's were, and a kill before their lines are written.
    soundfile.write(files[10], tone(77, 9.0), RATE)
    monkeypatch.setattr(store_writer.StoreWriter, "commit", kill)
    with pytest.raises(KilledError):
        build_store(folder, files, RATE)
    monkeypatch.undo()
    assert_holds(build_store(folder, files, RATE), files)


def test_lines_whose_samples_are_lost_do_not_count(tmp_path: Path, files: dict[int, Path]) -> None:
    folder = tmp_path / "s"
    build_store(folder, files, RATE)
    os.truncate(folder / "pcm-1.int16", 100_000)
    assert_holds(build_store(folder, files, RATE), files)


def test_ctrl_c_keeps_what_is_decoded(
    tmp_path: Path, files: dict[int, Path], decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_some(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        if path == files[60]:
            raise KeyboardInterrupt
        return decode_track(path, *arguments, **options)

    recording = store_builder.decode_track
    monkeypatch.setattr(store_builder, "decode_track", decode_some)
    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "s", files, RATE, workers=1)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"index.csv", "lock", "pcm-1.int16"}
    monkeypatch.setattr(store_builder, "decode_track", recording)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert set(decoded) == set(list(files.values())[5:])


def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    samples = tone(300, 20.0, 44100)
    files = {k: tmp_path / f"{k}.mp3" for k in range(150)}
    soundfile.write(files[0], samples, 44100)
    for path in list(files.values())[1:]:
        os.link(files[0], path)
    script = (
        "import sys; from pathlib import Path; from lit_genre.data.store.builder import build_store; "
        "folder = Path(sys.argv[1]); "
        "build_store(folder / 's', {k: folder / f'{k}.mp3' for k in range(150)}, 22050)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.DEVNULL)
    index = tmp_path / "s" / "index.csv"
    while process.poll() is None and not (index.exists() and index.read_bytes().count(b"\n") > 1):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = index.read_bytes()
    assert 1 < before.count(b"\n") < 1 + len(files)
    assert (tmp_path / "s" / "building").exists()
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert index.read_bytes().startswith(before)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"index.csv", "lock", "pcm-1.int16"}


def _build_and_count(folder: Path, files: dict[int, Path], waiting: Any, decoded: Any) -> None:
    def say(text: str, **_: object) -> None:
        if "waiting" in text:
            with waiting.get_lock():
                waiting.value += 1

    def count(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        with decoded.get_lock():
            decoded.value += 1
        return decode_track(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_builder, "decode_track", count)
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
    def refuse(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        if path == files[30]:
            raise PermissionError(13, "Permission denied")
        return decode_track(path, *arguments, **options)

    monkeypatch.setattr(store_builder, "decode_track", refuse)
    assert build_store(tmp_path / "s", files, RATE).failures == {30: "Permission denied"}
    monkeypatch.undo()
    assert_holds(build_store(tmp_path / "s", files, RATE), files)


def test_folder_depends_on_what_determines_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {store_folder(Path("p"), "fma_small", rate) for rate in (16000, 22050)}
    monkeypatch.setattr(store_index, "DECODER", "another libsndfile")
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


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_damaged_samples_are_found(tmp_path: Path, files: dict[int, Path], decoded: list[Path]) -> None:
    built = build_store(tmp_path / "s", files, RATE)
    assert not find_damaged(built, files, "Verifying")
    flip(built.pcm, 2 * (built.entries[70].offset + 5))
    assert find_damaged(built, files, "Verifying") == [70]
    decoded.clear()
    again = build_store(tmp_path / "s", files, RATE, redecode=[70])
    assert decoded == [files[70]]
    assert_holds(again, files)
    assert not find_damaged(again, files, "Verifying")


def test_what_a_killed_build_wrote_is_verified(
    tmp_path: Path, files: dict[int, Path], decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = tmp_path / "s", dict(list(files.items())[:3])
    built = build_store(folder, first, RATE)
    monkeypatch.setattr(Path, "unlink", forget_marker(Path.unlink))
    build_store(folder, files, RATE)
    monkeypatch.undo()
    monkeypatch.setattr(store_builder, "decode_track", record(decoded))
    # Of the lines before the killed build and of those that it wrote, each one whose samples are damaged.
    index = read_index(folder)
    for track_id in (20, 50):
        flip(built.pcm, 2 * (index[track_id].offset + 5))
    decoded.clear()
    del built
    again = build_store(folder, files, RATE)
    assert decoded == [files[50]]
    assert find_damaged(again, files, "Verifying") == [20]
    assert not (folder / "building").exists()


def test_with_a_damaged_marker_all_samples_are_verified(
    tmp_path: Path, files: dict[int, Path], decoded: list[Path]
) -> None:
    built = build_store(tmp_path / "s", files, RATE)
    flip(built.pcm, 0)
    decoded.clear()
    (tmp_path / "s" / "building").write_bytes(b"")
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert decoded == [files[10]]


def record(paths: list[Path]) -> Callable[..., TrackAudio]:
    def recording(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        paths.append(path)
        return decode_track(path, *arguments, **options)

    return recording


def forget_marker(unlink: Callable[..., None]) -> Callable[..., None]:
    """Leave the marker of a build where it is, as a kill would."""

    def unlink_others(path: Path, missing_ok: bool = False) -> None:
        if path.name != "building":
            unlink(path, missing_ok)

    return unlink_others


def change(files: dict[int, Path], *track_ids: int) -> None:
    for track_id in track_ids:
        soundfile.write(files[track_id], tone(77 + track_id, 1.0), RATE)


def test_the_space_of_stale_samples_is_freed(tmp_path: Path, files: dict[int, Path], decoded: list[Path]) -> None:
    size = sum(2 * entry.n_samples for entry in build_store(tmp_path / "s", files, RATE).entries.values())
    assert (tmp_path / "s" / "pcm-1.int16").stat().st_size == size
    change(files, 10)
    # Under a tenth.
    built = build_store(tmp_path / "s", files, RATE)
    assert built.pcm.name == "pcm-1.int16"
    assert built.pcm.stat().st_size > size
    del built
    change(files, 20, 30)
    built = build_store(tmp_path / "s", files, RATE)
    assert built.pcm.stat().st_size == sum(2 * entry.n_samples for entry in built.entries.values())
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"index.csv", "lock", "pcm-2.int16"}
    assert_holds(built, files)
    decoded.clear()
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert not decoded


def test_samples_that_are_being_read_stay(tmp_path: Path, files: dict[int, Path]) -> None:
    reading = build_store(tmp_path / "s", files, RATE)
    before = {track_id: whole(reading, track_id) for track_id in files}
    change(files, 10, 20, 30)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert {track_id: whole(reading, track_id) for track_id in files} == before
    # Nor is there a second copy of all others.
    assert [path.name for path in (tmp_path / "s").glob("pcm*")] == ["pcm-1.int16"]
    # Also by a process that is started later.
    assert whole(pickle.loads(pickle.dumps(reading)), 10) == before[10]
    del reading
    change(files, 10)
    built = build_store(tmp_path / "s", files, RATE)
    assert_holds(built, files)
    assert [path.name for path in (tmp_path / "s").glob("pcm*")] == ["pcm-2.int16"]


def _read_when_told(built: PCMStore, told: Any, results: Any) -> None:
    results.put("ready")
    told.wait()
    results.put(whole(built, 10))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_on(tmp_path: Path, files: dict[int, Path], method: str) -> None:
    built = build_store(tmp_path / "s", files, RATE)
    before = whole(built, 10)
    context = multiprocessing.get_context(method)
    told, results = context.Event(), context.Queue()
    process = context.Process(target=_read_when_told, args=(built, told, results))
    process.start()
    del built
    assert results.get() == "ready"
    change(files, 10, 20, 30)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    told.set()
    assert results.get() == before
    process.join()


def test_a_kill_while_space_is_freed_loses_nothing(
    tmp_path: Path, files: dict[int, Path], decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(tmp_path / "s", files, RATE)
    change(files, 10, 20, 30)
    write_index = store_writer.write_index
    moments = iter([write_index, killed])
    monkeypatch.setattr(store_writer, "write_index", lambda *arguments: next(moments)(*arguments))
    with pytest.raises(KilledError):
        build_store(tmp_path / "s", files, RATE)
    assert (tmp_path / "s" / "pcm-2.int16").exists()
    monkeypatch.setattr(store_writer, "write_index", write_index)
    decoded.clear()
    built = build_store(tmp_path / "s", files, RATE)
    assert not decoded
    assert_holds(built, files)
    assert built.pcm.stat().st_size == sum(2 * entry.n_samples for entry in built.entries.values())
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"index.csv", "lock", "pcm-2.int16"}


def killed(*_: object) -> None:
    raise KilledError


def test_a_disk_without_room_to_free_space_keeps_the_store(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    build_store(tmp_path / "s", files, RATE)
    change(files, 10, 20, 30)
    monkeypatch.setattr(store_writer, "_compact", fill)
    assert_holds(build_store(tmp_path / "s", files, RATE), files)
    assert "No space left on device" in "".join(capsys.readouterr())


def test_a_reader_that_comes_while_space_is_freed_opens_the_new_samples(
    tmp_path: Path, files: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(tmp_path / "s", files, RATE)
    old = read_index(tmp_path / "s")
    change(files, 10, 20, 30)
    build_store(tmp_path / "s", files, RATE)
    current = read_index(tmp_path / "s")
    answers = iter([old, current])
    monkeypatch.setattr(store, "read_index", lambda folder: next(answers))
    assert_holds(open_store(tmp_path / "s"), files)


def test_remains_of_a_killed_build_are_deleted(tmp_path: Path, files: dict[int, Path]) -> None:
    folder = tmp_path / "s"
    (folder / "tmp-xyz").mkdir(parents=True)
    (folder / "tmp-xyz" / "song").write_bytes(b"samples")
    (folder / ".pcm-2.int16.part").write_bytes(b"samples")
    build_store(folder, files, RATE)
    assert {path.name for path in folder.iterdir()} == {"index.csv", "lock", "pcm-1.int16"}


def test_a_symbolic_link_in_the_place_of_the_index_is_not_followed(tmp_path: Path, files: dict[int, Path]) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "s"
    victim.write_text("mine")
    folder.mkdir()
    (folder / ".index.csv.part").symlink_to(victim)
    (folder / ".building.part").symlink_to(victim)
    assert_holds(build_store(folder, files, RATE), files)
    assert victim.read_text() == "mine"
