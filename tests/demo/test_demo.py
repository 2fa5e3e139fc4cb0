from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from lit_genre.data.metadata.fma import load_tracks
from lit_genre.demo.instruments import BANDS, SAMPLE_RATE, TIMBRES, equalise, note
from lit_genre.demo.styles import STYLES
from lit_genre.demo.synth import GENRES, synthesise
from lit_genre.demo.write import write_demo
from lit_genre.errors import LitGenreError

SILENCE = 0.01  # RMS of full scale, -40 dB
PITCH_ERROR = 6  # Hz, the reach of a vibrato
EQ_ERROR = 3.0  # dB, what bands a third of an octave wide leave of the spectrum


def write(root: Path, **changes: float) -> Path:
    write_demo(root, **{"artists": 3, "tracks_per_artist": 1, "seconds": 1.0, "seed": 0} | changes)
    return root


def clips(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "fma_small").rglob("*.mp3"))}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("demo") / "new")


@pytest.fixture(scope="module")
def table(demo: Path) -> pd.DataFrame:
    return pd.read_csv(demo / "fma_metadata" / "tracks.csv", index_col=0, header=[0, 1])


def test_tracks_csv_has_the_shape_of_fma(table: pd.DataFrame) -> None:
    assert table.shape == (24, 52)
    assert table.index.name == "track_id"
    assert set(table["set", "subset"]) == {"small"}
    assert set(table["track", "genre_top"]) == set(GENRES)
    assert table["set", "split"].value_counts().to_dict() == {"training": 8, "validation": 8, "test": 8}
    assert table["track", "bit_rate"].between(16_000, 320_000).all()


def test_genres_csv_has_the_ids_of_fma(demo: Path) -> None:
    genres = pd.read_csv(demo / "fma_metadata" / "genres.csv", index_col=0)
    assert list(genres.columns) == ["#tracks", "parent", "title", "top_level"]
    assert sorted(genres["title"]) == list(GENRES)
    assert genres["title"][1235] == "Instrumental"
    assert genres["#tracks"].sum() == 24


def test_the_fma_reader_reads_it(demo: Path, table: pd.DataFrame) -> None:
    tracks = load_tracks(demo)
    assert [track.track_id for track in tracks] == sorted(table.index)
    assert all(track.artist.startswith(f"Synthetic {track.genre_top} Artist ") for track in tracks)


def test_ids_are_independent_of_the_genre(table: pd.DataFrame) -> None:
    genres = list(table["track", "genre_top"])
    assert sum(one != next_one for one, next_one in pairwise(genres)) > 14  # in order of genre it would be 7


def test_splits_go_by_artist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_genre.demo.dataset.synthesise", lambda *_: np.zeros(4410, dtype=np.float32))
    tracks = load_tracks(write(tmp_path, artists=12, tracks_per_artist=2))
    splits: dict[int, set[str]] = {}
    for track in tracks:
        splits.setdefault(track.artist_id, set()).add(track.split)
    assert [len(split) for split in splits.values()] == [1] * 96
    names = [split for (split,) in splits.values()]
    assert (names.count("train"), names.count("val"), names.count("test")) == (64, 16, 16)


def test_files_are_mp3_at_the_rate_of_the_networks(demo: Path, table: pd.DataFrame) -> None:
    for track_id in table.index:
        name = f"{track_id:06d}"
        info = soundfile.info(demo / "fma_small" / name[:3] / f"{name}.mp3")
        assert (info.format, info.samplerate, info.channels) == ("MP3", 22_050, 1)
        assert info.duration == pytest.approx(1.0, abs=0.1)  # the encoder pads to whole frames
    assert len(clips(demo)) == len(table)


def test_the_same_seed_gives_the_same_files(demo: Path, tmp_path: Path) -> None:
    again = clips(write(tmp_path / "again", workers=1))
    assert again == clips(demo)
    assert len(set(again.values())) == len(again)


def test_an_interrupted_call_is_resumed(demo: Path, tmp_path: Path) -> None:
    root = write(tmp_path / "demo")
    lost, *kept = sorted((root / "fma_small").rglob("*.mp3"))
    before = [path.stat().st_mtime_ns for path in kept]
    lost.unlink()
    (root / "fma_metadata" / "tracks.csv").unlink()
    write(root)
    assert clips(root) == clips(demo)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert (root / "fma_metadata" / "tracks.csv").read_bytes() == (demo / "fma_metadata" / "tracks.csv").read_bytes()
    assert not list(root.rglob("*.part"))


def test_a_complete_demo_is_not_written_again(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_genre.demo.dataset.synthesise", lambda *_: pytest.fail("made a track again"))
    write(demo)


def test_other_arguments_are_an_error(demo: Path) -> None:
    before = clips(demo)
    with pytest.raises(LitGenreError, match=r"seed is 7, was 0.*--root"):
        write(demo, seed=7)
    assert clips(demo) == before


@pytest.mark.parametrize("taken", ["fma_metadata/tracks.csv", "fma_metadata/genres.csv", "fma_small/000/000002.mp3"])
def test_other_data_in_the_folder_is_not_changed(tmp_path: Path, taken: str) -> None:
    path = tmp_path / taken
    path.parent.mkdir(parents=True)
    path.write_text("of a user")
    with pytest.raises(LitGenreError, match="not written by"):
        write(tmp_path)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    assert path.read_text() == "of a user"


@pytest.mark.parametrize(
    ("argument", "value"), [("artists", 2), ("tracks_per_artist", 0), ("seconds", 0.5), ("seed", -1), ("workers", 0)]
)
def test_arguments_out_of_range_are_an_error(tmp_path: Path, argument: str, value: float) -> None:
    with pytest.raises(LitGenreError, match=f"{argument} is {value}"):
        write(tmp_path / "none", **{argument: value})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("genre", GENRES)
def test_every_genre_has_a_signal(genre: str) -> None:
    waveform = synthesise(genre, artist=1, track=1, seconds=2.0, seed=0)
    assert waveform.shape == (44_100,)
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= 1
    assert np.sqrt((waveform**2).mean()) > SILENCE


def test_seed_artist_and_track_change_the_signal() -> None:
    arguments = {"genre": "Folk", "artist": 1, "track": 1, "seconds": 1.0, "seed": 0}
    one = synthesise(**arguments)
    assert np.array_equal(one, synthesise(**arguments))
    for name in ("seed", "artist", "track"):
        assert not np.array_equal(one, synthesise(**arguments | {name: 2}))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Rock", "Pop"), ("Electronic", "Hip-Hop"), ("Folk", "International"), ("Instrumental", "Experimental")],
)
def test_the_genres_of_a_pair_differ_in_the_order_of_sounds_alone(one: str, other: str) -> None:
    def sounds(genre: str) -> list[object]:
        style = STYLES[genre]
        patterns = {**style.drums, **{str(n): part.pattern for n, part in enumerate(style.parts)}}
        counts = {name: sorted(pattern * (16 // len(pattern))) for name, pattern in patterns.items()}
        players = [(part.chord, part.timbres, part.octave, part.hold, part.level) for part in style.parts]
        return [style.scales, style.progressions, counts, players]

    assert sounds(one) == sounds(other)
    assert STYLES[one] != STYLES[other]


@pytest.mark.parametrize("name", sorted(TIMBRES))
def test_note_has_its_pitch(name: str) -> None:
    sound = note(TIMBRES[name], 441.0, 1.0)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert abs(int(spectrum[300:600].argmax()) + 300 - 441) <= PITCH_ERROR


@pytest.mark.parametrize("slope", [-6.0, 0.0])
def test_the_equaliser_removes_the_spectrum_of_the_recording(slope: float) -> None:
    white = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE, dtype=np.float32)
    target = slope * np.arange(len(BANDS))
    for recording in (white, white + np.roll(white, 1)):
        power = np.abs(np.fft.rfft(equalise(recording, target))) ** 2
        levels = [10 * np.log10(power[int(4 * hz * 0.95) : int(4 * hz * 1.05)].mean()) for hz in BANDS]
        assert np.ptp((levels - target)[2:-1]) < EQ_ERROR
