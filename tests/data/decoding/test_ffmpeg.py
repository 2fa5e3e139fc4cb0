"""The child process that decodes by FFmpeg's libraries: whatever a file does to it, the next file is decoded."""

import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from lit_genre.data.decoding import ffmpeg, track_audio
from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.track_audio import decode, decode_track
from tests.helpers.audio import tone
from tests.helpers.media import RATE, Format, song, write
from tests.helpers.processes import wait_until_gone

M4A = Format("ipod", "aac", kbit=64, n_channels=1)


@pytest.fixture(autouse=True)
def _no_children() -> Iterator[None]:
    """Begin and end without idle children."""
    ffmpeg._close_children()
    yield
    ffmpeg._close_children()


@pytest.fixture
def song_path(tmp_path: Path) -> Path:
    return write(tmp_path / "song.m4a", song(4), M4A)


def test_one_child_decodes_one_file_after_another(song_path: Path) -> None:
    first = decode(song_path, RATE)
    (child,) = ffmpeg._idle
    assert (decode(song_path, RATE) == first).all()
    assert ffmpeg._idle == [child]
    song_path.write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"no audio that can be decoded \(FFmpeg"):
        decode(song_path, RATE)
    assert ffmpeg._idle == [child]


def test_a_child_that_crashes_costs_one_file(song_path: Path) -> None:
    whole = decode(song_path, RATE)
    blocks = iter(ffmpeg.Decoding(song_path, RATE))
    # The first block is asked of the child that is idle now.
    (child,) = ffmpeg._idle
    child.process.kill()
    child.process.wait()
    assert next(blocks).any()  # A dead idle child is replaced before anything is asked of it.
    del blocks
    path = write(song_path.with_name("long.m4a"), song(120), M4A)
    blocks = iter(ffmpeg.Decoding(path, 192_000))  # More samples than fit into a pipe.
    next(blocks)
    (process,) = _children()
    os.kill(process, 9)
    with pytest.raises(AudioError, match="the decoder crashed"):
        list(blocks)
    assert ffmpeg._idle == []
    assert (decode(song_path, RATE) == whole).all()


def _children() -> list[int]:
    """List the decoders that this process started; it may have other children."""
    return [child.pid for child in psutil.Process().children() if "ffmpeg_child" in " ".join(child.cmdline())]


def test_an_answer_that_is_not_read_to_its_end_ends_the_child(song_path: Path) -> None:
    path = write(song_path.with_name("long.m4a"), song(60), M4A)
    with pytest.raises(AudioError, match="longer than 1 s"):
        decode_track(path, RATE, max_seconds=1)
    assert ffmpeg._idle == []
    assert _children() == []


def test_a_file_that_never_answers_is_given_up(
    tmp_path: Path, song_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "MAX_SECONDS_SILENT", 1.0)
    fifo = tmp_path / "fifo.m4a"
    os.mkfifo(fifo)
    with pytest.raises(AudioError, match="the decoder was stopped after 1 s"):
        list(ffmpeg.Decoding(fifo, RATE))
    assert _children() == []
    monkeypatch.undo()
    assert len(decode(song_path, RATE)) / RATE == pytest.approx(4, abs=0.05)


@pytest.mark.parametrize("name", ["list.m3u8", "list.m4a", "list.mp3", "list.ffconcat", "list.sdp"])
@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=No\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 10\n",
        '<?xml version="1.0"?><MPD><Period><AdaptationSet><BaseURL>{path}</BaseURL></AdaptationSet></Period></MPD>',
    ],
)
def test_a_list_of_other_files_is_refused(tmp_path: Path, name: str, text: str) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, tone(440, 1), RATE)
    path = tmp_path / name
    path.write_text(text.format(path=secret.name))
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        decode(path, RATE)


def test_a_reference_to_another_file_is_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.mov", song(2), Format("mov", "pcm_s16le", n_channels=1))
    content = secret.read_bytes()
    # A track whose samples are said to be in a file of another name.
    entry = b"\0\0\0\x0curl \0\0\0\x01"
    assert content.count(entry) == 1
    alias = b"\0\0\0\x17url \0\0\0\0secret.mov\0"
    moved = bytearray(content.replace(entry, alias))
    for atom in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        position = moved.index(atom) - 4
        size = int.from_bytes(moved[position : position + 4]) + len(alias) - len(entry)
        moved[position : position + 4] = size.to_bytes(4)
    samples = moved.index(b"mdat") + 4
    moved[samples : samples + 60_000] = bytes(60_000)
    path = tmp_path / "song.mov"
    path.write_bytes(moved)
    assert not decode(path, RATE)[:14_000].any()


@pytest.mark.parametrize("name", [b"-a:b .m4a", b"\xff\xfe\xe9.m4a", "песня \U0001f3b5.m4a".encode(), b"a\nb%d'\".m4a"])
def test_a_name_of_any_bytes(song_path: Path, name: bytes) -> None:
    path = song_path.rename(song_path.parent / os.fsdecode(name))
    assert len(decode(path, RATE)) / RATE == pytest.approx(4, abs=0.05)
    assert ffmpeg.declared_seconds(path) == pytest.approx(4, abs=0.05)
    assert "encoder" in ffmpeg.read_metadata(path)


def test_a_relative_name_is_of_this_folder(song_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode(song_path, RATE)  # The child now is in another folder.
    monkeypatch.chdir(song_path.parent)
    assert len(decode(Path(song_path.name), RATE)) / RATE == pytest.approx(4, abs=0.05)


@pytest.mark.parametrize("module", ["av.py", "numpy.py", "json.py", "lit_genre.py"])
def test_no_code_of_the_working_directory_runs(song_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.chdir(song_path.parent)
    Path(module).write_text("open('ran', 'w')\nraise SystemExit\n")
    assert len(decode(song_path, RATE)) / RATE == pytest.approx(4, abs=0.05)
    assert not Path("ran").exists()


def test_a_file_without_permission_or_that_is_a_folder_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "folder.m4a").mkdir()
    with pytest.raises(IsADirectoryError):
        list(ffmpeg.Decoding(tmp_path / "folder.m4a", RATE))
    with pytest.raises(FileNotFoundError):
        list(ffmpeg.Decoding(tmp_path / "absent.m4a", RATE))
    assert len(ffmpeg._idle) == 1


def test_a_film_without_sound_says_so(tmp_path: Path) -> None:
    import av

    film = tmp_path / "film.mp4"
    with av.open(str(film), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), "rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(AudioError, match="a film or picture without sound"):
        decode(film, RATE)


def test_temporary_files_do_not_remain(tmp_path: Path, song_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_audio, "_IN_MEMORY", 1000)
    folder = tmp_path / "temporary"
    folder.mkdir()
    with decode_track(song_path, RATE, folder=folder) as audio:
        assert audio.pcm._rolled  # type: ignore[attr-defined]
        out = np.empty(RATE, dtype=np.int16)
        assert audio.read(RATE, out) == RATE
    text = tmp_path / "text.m4a"
    text.write_text("no audio")
    for path, max_seconds in ((song_path, 1), (text, 100)):
        with pytest.raises(AudioError):
            decode_track(path, RATE, max_seconds, folder)
    assert list(folder.iterdir()) == []
    with pytest.raises(ValueError, match="closed file"):
        audio.read(0, out)


def _decode_in_fork(path: Path) -> bytes:
    return decode(path, RATE).tobytes()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_starts_a_child_of_its_own(song_path: Path) -> None:
    whole = decode(song_path, RATE).tobytes()
    (child,) = ffmpeg._idle
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_decode_in_fork, [song_path] * 4) == [whole] * 4
        assert ffmpeg._idle == [child]
        assert decode(song_path, RATE).tobytes() == whole
    assert child.process.poll() is None
    assert decode(song_path, RATE).tobytes() == whole


def test_threads_decode_in_children_of_their_own(song_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    whole = decode(song_path, RATE)
    with ThreadPoolExecutor(3) as pool:
        assert all((pcm == whole).all() for pcm in pool.map(lambda _: decode(song_path, RATE), range(9)))
    assert 1 <= len(ffmpeg._idle) <= 3


def test_no_child_outlives_its_process(song_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from lit_genre.data.decoding import ffmpeg\n"
        "list(ffmpeg.Decoding(Path(sys.argv[1]), 22050)); print(ffmpeg._idle[0].process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, song_path], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    wait_until_gone(int(done.stdout))


@pytest.mark.parametrize("kind", [Format("flac", "flac", rate=RATE, n_channels=1), M4A])
def test_a_long_song_is_not_held_in_memory(tmp_path: Path, kind: Format) -> None:
    seconds = 1800 if kind.codec == "flac" else 300
    samples = np.zeros((seconds * kind.rate, 1), dtype=np.float32)
    samples[: 10 * kind.rate] = song(10, kind.rate)
    path = write(tmp_path / "song", samples, kind)
    del samples
    decode_track(path, RATE).pcm.close()  # Imports and caches.
    tracemalloc.start()
    with decode_track(path, RATE, folder=tmp_path) as audio:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert audio.n_samples / RATE == pytest.approx(seconds, abs=0.1)
        assert audio.pcm._rolled  # type: ignore[attr-defined]
    # The spool and some blocks; all samples are 79 and 13 MB.
    assert peak < 5e6


def test_sound_of_a_kind_that_no_decoder_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(440, 1), RATE)
    content = bytearray(path.read_bytes())
    content[20:22] = b"\x34\x12"  # The number of the codec.
    path.write_bytes(content)
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        decode(path, RATE)
    assert len(ffmpeg._idle) == 1


def test_a_damaged_length_in_a_container_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "song.wma"
    write(path, song(1.0), Format("asf", "wmav2", kbit=128))
    content = bytearray(path.read_bytes())
    # The length of the first object in ASF's header, 8 bytes after its GUID; FFmpeg then seeks to 2^62.
    content[46:54] = (1 << 62).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match="invalid position"):
        decode(path, RATE)
