from pathlib import Path

import numpy as np
import pytest
import soundfile

from lit_genre.data.decoding.status import COMPLETE, TrackStatus
from lit_genre.data.decoding.track_audio import decode
from lit_genre.data.loading.samplers import window_starts
from lit_genre.data.loading.streaming import SongClips
from tests.helpers.audio import tone

RATE = 22050
CLIP = RATE // 2


def write(path: Path, seconds: float, hertz: float = 440, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(hertz, seconds, rate), rate, format="WAV")
    return path


def test_clips_are_those_of_a_test_and_batches_may_mix_songs(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.wav", seconds, 200 + number) for number, seconds in enumerate((1.2, 0.2, 2.0))]
    clips = SongClips(files, RATE, CLIP, batch_size=4, workers=2)
    batches = list(clips)
    expected = [
        (position, start)
        for position, path in enumerate(files)
        for start in window_starts(len(decode(path, RATE)), CLIP).tolist()
    ]
    decoded = [
        pair
        for batch in batches
        for pair in zip(batch.track_id.tolist(), batch.start.tolist(), strict=True)  # type: ignore[union-attr]
    ]
    assert decoded == expected
    assert [len(batch.label) for batch in batches] == [4, len(expected) - 4]
    assert clips.seconds == pytest.approx({0: 1.2, 1: 0.2, 2: 2.0}, abs=1e-3)
    assert clips.statuses == dict.fromkeys(range(3), COMPLETE)
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


def test_the_status_of_each_song_is_recorded(tmp_path: Path) -> None:
    files = [write(tmp_path / "whole.wav", 2), write(tmp_path / "cut.wav", 2), write(tmp_path / "long.wav", 9)]
    content = files[1].read_bytes()
    files[1].write_bytes(content[: len(content) // 2 + 22])
    clips = SongClips(files, RATE, CLIP, batch_size=8, workers=2, max_seconds=5)
    assert {position for batch in clips for position in batch.track_id.tolist()} == {0, 1}
    assert clips.statuses == {0: COMPLETE, 1: TrackStatus("truncated", 1.0)}
    assert clips.seconds[1] == 1
    assert clips.failures == {2: "longer than 5 s"}
