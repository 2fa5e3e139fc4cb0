"""`lit-genre audit`: what is planted is found, what is clean is not, and what is dropped is gone."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.audit.duplicates import digest_files, duplicates
from lit_genre.audit.findings import LISTS
from lit_genre.audit.leaks import leaks
from lit_genre.audit.track_statistics import TrackAnalyzer
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import TrackAudio, decode_track
from lit_genre.data.metadata.fma import clip_path
from lit_genre.data.metadata.track import Split, Track
from lit_genre.data.store import builder as store_builder
from lit_genre.data.store.builder import build_store
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA

Run = Callable[..., None]

GENRES = ("Folk", "Pop", "Rock")
SPLITS = {0: "test", 1: "validation"}


def music(track_id: int) -> NDArray[np.float32]:
    """A second that is low, high or noisy by the genre, and no two alike."""
    rng = np.random.default_rng(track_id)
    noise = 0.01 * rng.standard_normal(22050)
    genre = track_id % 3
    body = 0.3 * rng.standard_normal(22050) if genre == 2 else tone((200, 3000)[genre] + 5 * track_id, 1.0)
    return (noise + body).astype(np.float32)


@pytest.fixture
def clean(write_fma: WriteFMA) -> Path:
    """Forty tracks, each by an artist of its own."""
    return write_fma({i: (SPLITS.get(i % 10, "training"), GENRES[i % 3], music(i)) for i in range(1, 41)})


def plant(root: Path) -> dict[str, set[int]]:
    """Spoil tracks; the ids that each list has to have."""

    def file(track_id: int) -> Path:
        return clip_path(root, "small", track_id)

    def spoil(track_id: int, samples: NDArray[Any], kind: str = "WAV") -> None:
        soundfile.write(file(track_id), samples, 22050, format=kind, subtype="PCM_16")

    file(7).write_bytes(file(10).read_bytes())
    # The samples of a validation track, in another format.
    spoil(8, soundfile.read(file(11), dtype="int16")[0], "FLAC")
    spoil(3, 1e-4 * music(3))
    spoil(4, music(4)[:8000])
    file(5).write_bytes(b"no audio")
    table = root / "fma_metadata" / "tracks.csv"
    rows = table.read_text().split("\n")
    # A training track and a validation track by the artist of test track 20; two labels swapped.
    for before, after in {
        "22,training,small,Pop,Title 22,22,": "22,training,small,Pop,Title 22,20,",
        "21,validation,small,Folk,Title 21,21,": "21,validation,small,Folk,Title 21,20,",
        "33,training,small,Folk,": "33,training,small,Rock,",
        "35,training,small,Rock,": "35,training,small,Pop,",
    }.items():
        assert any(row.startswith(before) for row in rows)
        rows = [row.replace(before, after) if row.startswith(before) else row for row in rows]
    table.write_text("\n".join(rows))
    return {
        "artist_leaks": {21, 22}, "album_leaks": set(), "duplicates": {7, 8}, "near_silent": {3}, "short": {4},
        "undecodable": {5},
    }  # fmt: skip


def lists(folder: Path) -> dict[str, pd.DataFrame]:
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    assert all(table.columns[0] == "track_id" for table in tables.values())
    return {name: table.set_index("track_id") for name, table in tables.items()}


def test_nothing_is_found_in_clean_data(run: Run, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("audit", "--data.root", clean, "--output", "out")
    found = lists(Path("out"))
    assert found.keys() == LISTS.keys() - {"damaged_samples"}
    assert all(table.empty for table in found.values())
    assert "Nothing was found" in "".join(capsys.readouterr())


def test_what_is_planted_is_found_and_gone_once_dropped(
    run: Run, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant(clean)
    run("audit", "--data.root", clean, "--output", "out")
    said, found = "".join(capsys.readouterr()), lists(Path("out"))
    assert {name: set(found[name].index) for name in planted} == planted
    assert found["artist_leaks"].loc[22, ["artist_id", "also_in"]].tolist() == [20, "val test"]
    copies = found["duplicates"]
    assert copies.loc[7, ["same", "kept", "kept_split", "crosses_splits"]].tolist() == ["file", 10, "test", True]
    assert copies.loc[8, ["same", "kept", "kept_split", "crosses_splits"]].tolist() == ["audio", 11, "val", True]
    assert found["near_silent"].loc[3, "rms_db"] < -80
    assert found["short"].loc[4, ["seconds", "expected"]].tolist() == [0.36, 1.0]
    assert "no audio" in found["undecodable"].loc[5, "reason"]
    # Those whose audio was exchanged have the wrong label too.
    assert {33, 35} <= set(found["label_noise"].index) <= {3, 7, 8, 33, 35}
    assert found["label_noise"].loc[33, ["split", "genre", "suggested", "title"]].tolist() == [
        "train", "Rock", "Folk", "Title 33"
    ]  # fmt: skip
    assert "2 of the 2 groups of duplicates are in more than one split" in said
    assert "--data.exclude='[out/artist_leaks.csv, out/duplicates.csv, out/short.csv, out/undecodable.csv]'" in said

    written = sorted(map(str, Path("out").glob("*.csv")))
    run("audit", "--data.root", clean, "--output", "again", "--data.exclude", json.dumps(written))
    assert all(table.empty for table in lists(Path("again")).values())


def test_lists_that_may_have_been_edited_are_not_replaced(run: Run, clean: Path) -> None:
    Path("audit").mkdir()
    Path("audit/short.csv").write_text("mine")
    with pytest.raises(SystemExit, match="audit/short.csv already exists"):
        run("audit", "--data.root", clean)
    assert Path("audit/short.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.root=absent"], "No FMA small in"),
        (["--data.exclude=[absent.csv]"], "no list of tracks absent.csv"),
        (["--folds=1"], "folds is 1, but must be at least 2"),
        (["--predictions=absent.csv"], "absent.csv is not the test.csv"),
    ],
)
def test_what_cannot_be_audited_is_said(run: Run, clean: Path, words: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        run("audit", "--data.root", clean, *words)
    assert not list(Path().glob("audit/*"))


def test_when_all_is_dropped_that_is_said(run: Run, clean: Path) -> None:
    Path("all.txt").write_text("\n".join(map(str, range(1, 41))))
    with pytest.raises(SystemExit, match="exclude all 40"):
        run("audit", "--data.root", clean, "--data.exclude=[all.txt]")


def test_of_tracks_that_are_not_decoded_once_only_the_lengths_are_known(
    run: Run, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant(clean)
    (clean / "fma_small").rename(clean / "fma_full")
    run("audit", "--data.root", clean, "--data.subset=full", "--output=out")
    found = lists(Path("out"))
    lengths = ("short", "incomplete", "undecodable")
    assert found.keys() == {"artist_leaks", "album_leaks", "duplicates", *lengths}
    for name in ("artist_leaks", "short", "undecodable"):
        assert set(found[name].index) == planted[name]
    assert set(found["duplicates"].index) == {7}
    assert not sum(path.stat().st_size for path in clean.rglob("*.int16"))
    said = "".join(capsys.readouterr())
    assert "add --data.decode_once=true" in said
    assert "not checked" in said
    with pytest.raises(SystemExit, match="--verify needs decoded audio that is kept"):
        run("audit", "--data.root", clean, "--data.subset=full", "--output=again", "--verify")


def test_a_trained_model_may_judge_the_labels(run: Run, clean: Path) -> None:
    rows = ["track_id,genre,predicted,artist_id,Folk,Pop,Rock"]
    rows += [f"{i},Folk,Folk,-1,{0.1 if i == 30 else 0.8},0.1,{0.8 if i == 30 else 0.1}" for i in (12, 15, 30)]
    # So that Rock has a standard.
    Path("test.csv").write_text("\n".join([*rows, "20,Rock,Rock,-1,0.2,0.1,0.7"]))
    run("audit", "--data.root", clean, "--output=out", "--decode=false", "--predictions=test.csv")
    found = lists(Path("out"))
    assert found["label_noise"].loc[30, ["split", "suggested", "margin"]].tolist() == ["test", "Rock", 0.7]
    assert len(found["label_noise"]) == 1
    assert "short" not in found
    assert not (clean / "pcm").exists()


def test_incomplete_tracks_are_listed(
    run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = {5: TrackStatus("recovered", 0.25), 6: TrackStatus("truncated", 9.0)}

    def decode(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        audio = decode_track(path, *arguments, **options)
        audio.status = lost.get(int(path.stem), audio.status)
        return audio

    monkeypatch.setattr(store_builder, "decode_track", decode)
    run("audit", "--data.root", clean, "--output=out")
    found = lists(Path("out"))
    columns = ["status", "seconds_lost", "decoded_fraction", "name"]
    assert found["incomplete"][columns].reset_index().values.tolist() == [
        [6, "truncated", 9.0, 0.1, "track 6"],
        [5, "recovered", 0.25, 0.8, "track 5"],
    ]
    assert found["undecodable"].index.tolist() == [6]
    assert "only 1.0 of 10.0 s could be decoded" in found["undecodable"].loc[6, "reason"]
    # Those of which little is missing are to be listened to, and not to be left out at once.
    said = "".join(capsys.readouterr())
    assert "listen to the first tracks of out/incomplete.csv" in said
    assert "--data.exclude='[out/undecodable.csv]'" in said


def test_damaged_samples_are_found_and_decoded_again(run: Run, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("audit", "--data.root", clean, "--output=first", "--verify")
    assert lists(Path("first"))["damaged_samples"].empty
    (store,) = (clean / "pcm").iterdir()
    index = pd.read_csv(store / "index.csv").set_index("track_id")
    with (store / "pcm-1.int16").open("r+b") as file:
        file.seek(2 * index.loc[23, "offset"])
        file.write(b"\x55" * 1000)
    capsys.readouterr()
    run("audit", "--data.root", clean, "--output=second", "--verify")
    damaged = lists(Path("second"))["damaged_samples"]
    assert damaged[["decoded_again", "seconds"]].reset_index().values.tolist() == [[23, True, 1.0]]
    said = "".join(capsys.readouterr())
    assert "The decoded audio of 1 tracks was damaged on the disk; 1 of them were decoded again" in said
    assert "damaged_samples.csv" not in said
    run("audit", "--data.root", clean, "--output=third", "--verify")
    assert lists(Path("third"))["damaged_samples"].empty


def test_folders_of_music_are_audited(run: Run, clean: Path) -> None:
    """Without artists; two files are the same, and one is damaged."""
    for genre, folder in enumerate(GENRES):
        Path("Music", folder).mkdir(parents=True)
        for number in range(20):
            soundfile.write(f"Music/{folder}/{number}.wav", music(3 * number + genre), 22050, subtype="PCM_16")
    Path("Music/Pop/copy.wav").write_bytes(Path("Music/Pop/1.wav").read_bytes())
    Path("Music/Pop/broken.wav").write_bytes(b"no audio")
    run("audit", "--data=FolderDataModule", "--data.path=Music", "--output=out", "--verify")
    found = lists(Path("out"))
    assert found["undecodable"]["name"].tolist() == ["Pop/broken.wav"]
    assert len(found["duplicates"]) == 1
    assert found["duplicates"]["name"].iloc[0] in ("Pop/copy.wav", "Pop/1.wav")
    assert found["artist_leaks"].empty
    assert "label_noise" in found


def test_gtzan_is_audited(run: Run, tmp_path: Path) -> None:
    for genre in ("blues", "jazz"):
        path = tmp_path / "genres" / genre / f"{genre}.00029.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, music(0), 22050, subtype="PCM_16")
    run("audit", "--data=GTZANDataModule", f"--data.root={tmp_path}", "--output=out")
    found = lists(Path("out"))
    assert found["duplicates"][["name", "kept_name"]].values.tolist() == [["blues.00029", "jazz.00029"]]
    assert len(found["undecodable"]) == 928


class Tags(TrackDataModule):
    """Three tracks, each with two genres and no root genre, and no validation split."""

    task = "multilabel"
    cache_name = display_name = "tags"

    def read_tracks(self) -> list[Track]:
        return [
            Track(k, "test" if k == 3 else "train", "", ("Folk", f"Genre {k % 2}"), f"{k}", -1, "", -1)
            for k in (1, 2, 3)
        ]

    def audio_path(self, track: Track) -> Path:
        return self.root / f"{track.track_id}.wav"


def test_tracks_of_several_genres_without_artists_and_validation_are_audited(run: Run, tmp_path: Path) -> None:
    for track_id in (1, 2, 3):
        soundfile.write(f"{track_id}.wav", music(track_id % 2), 22050, subtype="PCM_16")
    run("audit", f"--data={__name__}.Tags", f"--data.root={tmp_path}", "--output=out")
    found = lists(Path("out"))
    assert found.keys() == LISTS.keys() - {"damaged_samples", "label_noise"}
    assert found["duplicates"][["genre", "kept", "kept_split"]].reset_index().values.tolist() == [
        [1, "Folk, Genre 1", 3, "test"]
    ]


def test_data_without_tracks_is_refused(run: Run) -> None:
    with pytest.raises(SystemExit, match="PredictDataModule has no tracks with genres and splits"):
        run("audit", "--data=lit_genre.PredictDataModule", "--data.path=.")


def track(track_id: int, split: Split, artist_id: int = 1, album_id: int = -1) -> Track:
    return Track(track_id, split, "Rock", (), "", artist_id, "", album_id)


def test_a_leak_costs_the_training_split_first_and_the_test_split_never() -> None:
    tracks = [
        track(1, "train"), track(2, "test"), track(3, "val"), track(4, "train", 5), track(5, "val", 5),
        track(6, "train", 7), track(7, "train", 7), track(8, "train", -1), track(9, "test", -1),
    ]  # fmt: skip
    found = leaks(tracks, "artist_id")
    assert found.reset_index().values.tolist() == [[1, 1, "val test"], [3, 1, "train test"], [4, 5, "val"]]
    assert leaks([track for track in tracks if track.track_id not in found.index], "artist_id").empty
    assert leaks(tracks, "album_id").empty
    assert leaks([track(1, "train", 1, 4), track(2, "test", 2, 4)], "album_id").index.tolist() == [1]


def test_one_of_each_group_of_duplicates_is_kept() -> None:
    tracks = [track(1, "train"), track(2, "val"), track(3, "val"), track(4, "test"), track(5, "train")]
    # 1, 2 and 3 by their files; 3 was decoded, and sounds as 4 does.
    files = {1: b"f", 2: b"f", 3: b"f", 5: b"other"}
    found = duplicates(tracks, files, {3: b"sound", 4: b"sound"})
    assert found.index.tolist() == [2, 3, 1]
    assert set(found["kept"]) == {4}
    assert found["group"].nunique() == 1
    assert not duplicates(tracks[1:3], files, {})["crosses_splits"].any()
    assert duplicates(tracks[1:3], files, {}).index.tolist() == [3]


def test_files_of_one_size_are_alike_only_if_their_bytes_are(tmp_path: Path) -> None:
    files = {k: tmp_path / str(k) for k in range(5)}
    for track_id, content in enumerate((b"aaa", b"aab", b"aaa", b"longer")):
        files[track_id].write_bytes(content)
    digests = digest_files(files)
    assert digests.keys() == {0, 1, 2}
    assert digests[0] == digests[2] != digests[1]


def test_a_track_is_analyzed_as_a_whole_however_long(tmp_path: Path) -> None:
    rate = 8000
    samples = np.zeros(40 * rate + 100, dtype=np.float32)
    samples[: 2 * rate] = tone(400, 2.0, rate)
    path = tmp_path / "long.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    soundfile.write(tmp_path / "blip.wav", tone(400, 0.1, rate), rate, subtype="PCM_16")
    store = build_store(tmp_path / "store", {1: path, 2: tmp_path / "blip.wav"}, rate)
    statistics = TrackAnalyzer(store, rate, silent_db=-60).analyze_all([1, 2])
    assert statistics[1].digest == hashlib.sha256(store.pcm.read_bytes()[: 2 * len(samples)]).digest()
    # The 41st second is a part of one.
    assert statistics[1].silent_share == 39 / 41
    # A sine of half the full scale has -9 dB, of which it sounds for 2 s in 40.
    assert statistics[1].rms_db == pytest.approx(-9.03 - 13.02, abs=0.05)
    assert statistics[2].rms_db == pytest.approx(-9.03, abs=0.1)
    assert all(np.isfinite(track.timbre).all() for track in statistics.values())
