import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lit_genre.data import songs as module
from lit_genre.data.audio import AudioError, decode
from lit_genre.data.sampler import even_starts
from lit_genre.data.songs import SongClips, decode_song
from tests.conftest import tone

RATE = 22050
CLIP = RATE // 2
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def write(path: Path, seconds: float, hertz: float = 440, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(hertz, seconds, rate), rate, format="WAV")
    return path


def whole(path: Path) -> np.ndarray:
    song = decode_song(path, RATE)
    pcm = np.empty(song.n_samples, dtype=np.int16)
    with song.pcm:
        song.read(0, pcm)
    return pcm


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_a_song_is_what_the_data_set_would_hear(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "song.mp3"
    soundfile.write(path, np.stack([tone(440, 9, rate)] * 2, axis=1), rate, format="MP3")
    assert np.array_equal(whole(path), decode(path, RATE))


def test_a_long_song_waits_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_MEMORY", 1000)
    path = write(tmp_path / "song.wav", 3)
    song = decode_song(path, RATE)
    with song.pcm:
        assert song.pcm._rolled  # type: ignore[attr-defined]
        assert song.n_samples == 3 * RATE
    assert np.array_equal(whole(path), decode(path, RATE))


def test_too_long_a_song_is_not_decoded_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="longer than 2 s"):
        decode_song(write(tmp_path / "song.wav", 60), RATE, max_seconds=2)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".m4a", ".wma", ".mka"])
def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path, suffix: str) -> None:
    source, path = write(tmp_path / "song.wav", 5, rate=44100), tmp_path / f"-a:b {suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, f"file:{path}"], check=True)
    pcm = whole(path)
    assert len(pcm) / RATE == pytest.approx(5, abs=0.1)
    spectrum = np.abs(np.fft.rfft(pcm))
    assert spectrum.argmax() * RATE / len(pcm) == pytest.approx(440, abs=2)


@needs_ffmpeg
def test_a_film_without_sound_and_a_text_say_what_they_are(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=size=32x32:duration=1", film], check=True)
    with pytest.raises(AudioError, match="a film or picture without sound"):
        decode_song(film, RATE)
    (tmp_path / "text.mp3").write_text("text")
    with pytest.raises(AudioError, match="libsndfile: Format not recognised"):
        decode_song(tmp_path / "text.mp3", RATE)


@needs_ffmpeg
def test_ffmpeg_follows_no_playlist(tmp_path: Path) -> None:
    write(tmp_path / "secret.wav", 1)
    path = tmp_path / "list.m4a"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.wav'}\n")
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        decode_song(path, RATE)
    path.write_text(f"ffconcat version 1.0\nfile {tmp_path / 'secret.wav'}\n")
    with pytest.raises(AudioError, match="no audio that can be decoded"):
        decode_song(path, RATE)


def test_without_ffmpeg_the_reason_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "song.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500))
    with pytest.raises(AudioError, match="FFmpeg, which may, is not installed"):
        decode_song(path, RATE)


def test_clips_are_those_of_a_test_and_batches_may_mix_songs(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.wav", seconds, 200 + number) for number, seconds in enumerate((1.2, 0.2, 2.0))]
    clips = SongClips(files, RATE, CLIP, batch_size=4, workers=2)
    batches = list(clips)
    expected = [
        (position, start)
        for position, path in enumerate(files)
        for start in even_starts(len(decode(path, RATE)), CLIP).tolist()
    ]
    heard = [
        pair
        for batch in batches
        for pair in zip(batch.track_id.tolist(), batch.start.tolist(), strict=True)  # type: ignore[union-attr]
    ]
    assert heard == expected
    assert [len(batch.label) for batch in batches] == [4, len(expected) - 4]
    assert clips.seconds == pytest.approx({0: 1.2, 1: 0.2, 2: 2.0}, abs=1e-3)
    short = next(
        batch.waveform[row] for batch in batches for row in range(len(batch.label)) if batch.track_id[row] == 1
    )
    once = round(0.2 * RATE)
    assert short[once : 2 * once].equal(short[:once])


def test_what_cannot_be_read_is_left_out_with_its_reason(tmp_path: Path) -> None:
    files = [tmp_path / "empty.mp3", tmp_path / "text.mp3", tmp_path / "gone.mp3", write(tmp_path / "a.wav", 1)]
    files[0].touch()
    files[1].write_text("dies ist kein Lied\n" * 100)
    files.append(tmp_path / "silent.wav")
    soundfile.write(files[4], np.zeros(RATE, dtype=np.int16), RATE)
    clips = SongClips(files, RATE, CLIP, batch_size=8, workers=2)
    assert {position for batch in clips for position in batch.track_id.tolist()} == {3}
    assert clips.failures[0] == "an empty file"
    assert "no audio that can be decoded" in clips.failures[1]
    assert "No such file" in clips.failures[2]
    assert clips.failures[4] == "nothing but silence"
