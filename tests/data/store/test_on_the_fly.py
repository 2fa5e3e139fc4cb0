from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.data.decoding.track_audio import decode
from lit_genre.data.store.on_the_fly import OnTheFlySource, open_on_the_fly
from lit_genre.errors import LitGenreError
from tests.helpers.audio import tone
from tests.helpers.media import MP3, PLAIN_MP3, Format, write

RATE = 16000


def noise(seconds: float, rate: int, channels: int = 2) -> NDArray[np.float64]:
    samples = np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    return np.asarray(0.3 * np.cumsum(samples - samples.mean(0), axis=0) / np.sqrt(len(samples)))


@pytest.fixture
def opened(tmp_path: Path) -> OnTheFlySource:
    files = {}
    for track_id, (file_format, rate) in enumerate([("MP3", 44100), ("MP3", 22050), ("OGG", 48000), ("FLAC", 16000)]):
        files[track_id] = tmp_path / f"{track_id}.mp3"
        soundfile.write(files[track_id], noise(6, rate), rate, format=file_format)
    files[9] = tmp_path / "absent.mp3"
    return open_on_the_fly(tmp_path / "lengths", files, RATE)


def test_an_excerpt_is_what_the_whole_file_has_there(opened: OnTheFlySource) -> None:
    for track_id in range(4):
        whole = decode(opened.files[track_id], RATE)
        assert abs(opened.entries[track_id].n_samples - len(whole)) <= 1
        for start in (0, 1, 12345, 3 * RATE):
            out = np.empty(2 * RATE, dtype=np.int16)
            assert opened.read(track_id, start, out) == len(out)
            assert np.abs(out.astype(int) - whole[start : start + len(out)]).max() <= 2


@pytest.mark.parametrize("rate", [22050, 44100])
def test_an_mp3_of_a_low_bit_rate_is_exact_as_well(tmp_path: Path, rate: int) -> None:
    files = {1: tmp_path / "1.mp3"}
    # A pure tone takes so few bits that the data of one frame lies in a dozen of those before.
    soundfile.write(files[1], tone(200, 6, rate, amplitude=0.2), rate, format="MP3")
    opened = open_on_the_fly(tmp_path / "lengths", files, RATE)
    whole, out = decode(files[1], RATE), np.empty(RATE, dtype=np.int16)
    for start in range(0, 5 * RATE, 1234):
        opened.read(1, start, out)
        assert np.abs(out.astype(int) - whole[start : start + RATE]).max() <= 2


def test_a_track_ends_where_it_ends(opened: OnTheFlySource) -> None:
    out = np.empty(2 * RATE, dtype=np.int16)
    assert opened.read(0, opened.entries[0].n_samples - RATE, out) == pytest.approx(RATE, abs=2)


def test_nothing_is_decoded_to_disk_and_the_second_look_is_at_the_index(
    opened: OnTheFlySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [path.stat().st_size for path in (tmp_path / "lengths").glob("pcm-*.int16")] == [0]
    assert opened.failures == {9: "no such file"}
    monkeypatch.setattr("lit_genre.data.store.builder.measure_track", None)
    again = open_on_the_fly(tmp_path / "lengths", {k: v for k, v in opened.files.items() if k != 9}, RATE)
    assert again.entries == {k: v for k, v in opened.entries.items() if k != 9}


def test_long_files_of_other_kinds_are_measured_and_read_as_well(tmp_path: Path) -> None:
    samples = noise(8, 44100).astype(np.float32)
    samples[: len(samples) // 2] *= 1e-3
    varying = PLAIN_MP3._replace(kbit=None, encoder={"flags": "+qscale", "global_quality": "118"})
    part = write(tmp_path / "part", samples, MP3).read_bytes()
    files = {
        1: write(tmp_path / "varying.mp3", samples, varying),
        2: tmp_path / "joined.mp3",
        3: write(tmp_path / "song.m4a", samples, Format("ipod", "aac", kbit=128, encoder={"aac_pns": "0"})),
        4: tmp_path / "cut.mp3",
    }
    files[2].write_bytes(part + part)
    files[4].write_bytes(part[: len(part) // 2])
    opened = open_on_the_fly(tmp_path / "lengths", files, RATE)
    for track_id, path in files.items():
        whole, entry = decode(path, RATE), opened.entries[track_id]
        assert entry.n_samples == pytest.approx(len(whole), abs=0.05 * RATE)
        out = np.empty(RATE, dtype=np.int16)
        for start in (0, entry.n_samples - RATE - 1000):
            assert opened.read(track_id, start, out) == RATE
            # After a seek, FFmpeg decodes up to half a sample earlier or later than in the whole file.
            assert np.corrcoef(out, whole[start : start + RATE])[0, 1] > 0.999
    statuses = [(entry.status, round(entry.seconds_lost)) for entry in opened.entries.values()]
    assert statuses == [("complete", 0), ("complete", 0), ("complete", 0), ("truncated", 4)]


def test_where_a_file_is_damaged_its_beginning_is_heard(opened: OnTheFlySource) -> None:
    path = opened.files[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    out, beginning = np.empty(RATE, dtype=np.int16), np.empty(RATE, dtype=np.int16)
    opened.read(0, 0, beginning)
    assert opened.read(0, 5 * RATE - 1, out) == RATE
    assert (out == beginning).all()


def test_a_file_that_went_away_is_named(opened: OnTheFlySource) -> None:
    opened.files[2].unlink()
    with pytest.raises(LitGenreError, match="2.mp3 could be read when this run began"):
        opened.read(2, 0, np.empty(10, dtype=np.int16))
