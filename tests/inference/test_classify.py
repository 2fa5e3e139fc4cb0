import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lit_genre import load_model
from lit_genre.data.loading.streaming import SongClips
from lit_genre.data.metadata.audio_files import SOME_UNREADABLE
from lit_genre.data.metadata.fma import load_tracks
from tests.helpers.audio import tone

Run = Callable[..., None]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classify_predicts_test_tracks_as_the_test_of_the_run_did(run: Run, trained: Path, fma: Path) -> None:
    tracks = {track.track_id: track for track in load_tracks(fma, "small") if track.split == "test"}
    files = {fma / "fma_small" / "000" / f"{track_id:06d}.mp3": track_id for track_id in tracks}
    run("classify", "--ckpt_path", trained, *files, "--output", "genres.csv")
    tested = {int(row["track_id"]): row for row in rows(trained.parents[1] / "test.csv")}
    classified = rows(Path("genres.csv"))
    assert len(classified) == len(tested) == len(files)
    for row in classified:
        test = tested[files[Path(row["path"])]]
        assert row["genre"] == test["predicted"]
        for genre in load_model(trained).classes:
            assert float(row[genre]) == pytest.approx(float(test[genre]), abs=2e-6)


def test_predict_and_classify_have_equal_probabilities(run: Run, trained: Path, fma: Path) -> None:
    run("classify", "--ckpt_path", trained, fma / "fma_small", "--output", "genres.csv")
    run("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={fma / 'fma_small'}")
    classified = {row["path"]: row for row in rows(Path("genres.csv"))}
    predictions = rows(trained.parents[1] / "predictions.csv")
    assert len(predictions) == len(classified) == 24
    for row in predictions:
        expected = classified[row["path"]]
        assert row["predicted"] == expected["genre"]
        assert float(row["Rock"]) == pytest.approx(float(expected["Rock"]), abs=2e-6)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with three songs, two of unusual names, and three unreadable files."""
    folder = tmp_path / "music"
    (folder / "deep").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number, name in enumerate(["one.wav", "deep/[b] two\r\n.flac", os.fsdecode(b"\xff.wav")]):
        samples = tone(300 * (number + 1), 2.5) + random.normal(0, 0.01, int(2.5 * 22050))
        soundfile.write(tmp_path / "written.wav", samples, 22050)
        (tmp_path / "written.wav").rename(folder / name)
    (folder / "empty.mp3").touch()
    (folder / "text.mp3").write_text("kein Lied")
    (folder / "gone.mp3").symlink_to(folder / "nowhere")
    return folder


@pytest.mark.parametrize("command", ["classify", "predict"])
def test_unreadable_files_are_reported_at_the_end_and_by_the_exit_status(
    run: Run, trained: Path, music: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = {
        "classify": ("classify", "--ckpt_path", trained, music),
        "predict": ("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={music}"),
    }[command]
    with pytest.raises(SystemExit) as ended:
        run(*argv)
    assert ended.value.code == SOME_UNREADABLE
    output = "".join(capsys.readouterr())
    assert "3 of 6 files could not be read" in output
    assert "empty.mp3: an empty file" in output
    assert "gone.mp3: No such file" in output
    assert "text.mp3: no audio that can be decoded" in output


def test_the_exit_status_is_1_if_no_file_is_readable(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(SystemExit) as ended:
        run("classify", "--ckpt_path", trained, tmp_path / "empty.mp3")
    assert ended.value.code == 1


def test_every_format_has_path_genres_and_segments(run: Run, trained: Path, music: Path) -> None:
    classes = load_model(trained).classes
    for name in ("genres.csv", "genres.jsonl"):
        with pytest.raises(SystemExit):
            run("classify", "--ckpt_path", trained, music, "--output", name, "--segments", "--top_k", "2")
    songs, segments = rows(Path("genres.csv")), rows(Path("genres.segments.csv"))
    objects = [json.loads(line) for line in Path("genres.jsonl").read_text().splitlines()]
    assert len(songs) == len(objects) == 3
    assert any("\r\n" in row["path"] for row in songs)
    # Each byte of a name survives in JSON; CSV is UTF-8 whatever the name.
    assert {os.fsencode(entry["path"]) for entry in objects} == {
        os.fsencode(path) for path in music.rglob("*") if path.suffix in (".wav", ".flac")
    }
    for row, entry in zip(songs, objects, strict=True):
        probs = {genre: float(row[genre]) for genre in classes}
        assert sum(probs.values()) == pytest.approx(1, abs=1e-5)
        assert row["genre"] == entry["genre"] == max(probs, key=probs.__getitem__)
        assert entry["genres"] == pytest.approx(dict(sorted(probs.items(), key=lambda item: -item[1])[:2]))
        assert entry["seconds"] == float(row["seconds"]) == 2.5
        own_segments = [segment for segment in segments if segment["path"] == row["path"]]
        assert [float(segment["start"]) for segment in own_segments] == [0, 0.75, 1.5]
        assert [segment["end"] for segment in entry["segments"]] == [1, 1.75, 2.5]
        mean = np.mean([float(segment["Rock"]) for segment in own_segments])
        assert mean == pytest.approx(probs["Rock"], abs=2e-6)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.mp3"], "There is no file or folder nothing.mp3"),
        (["{song}", "--output", "genres.txt"], "must end in .csv or .jsonl"),
        (["{song}", "--embeddings", "embeddings.csv"], "must end in .npz"),
        (["{song}", "--segments"], "--segments needs a file"),
        (["{song}", "--batch_size", "0"], "batch_size is 0, but must be at least 1"),
        (["{song}", "--device", "meta"], "This machine has no device 'meta'"),
        (["{song}", "--device", "tpu9"], "This machine has no device 'tpu9'"),
        (["{song}", "--top_k", "0"], "top_k is 0, but must be at least 1"),
    ],
)
def test_wrong_arguments_are_reported_before_any_file_is_decoded(
    run: Run, trained: Path, music: Path, arguments: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("classify", "--ckpt_path", trained, *(argument.format(song=music / "one.wav") for argument in arguments))
    assert reason in str(ended.value.code)


def test_a_wrong_command_line_overwrites_no_file(run: Run, trained: Path, music: Path) -> None:
    Path("kept.csv").write_text("precious")
    with pytest.raises(SystemExit):
        run(
            "classify",
            "--ckpt_path",
            trained,
            music / "one.wav",
            "--output",
            "kept.csv",
            "--embeddings",
            "embeddings.txt",
        )
    assert Path("kept.csv").read_text() == "precious"
    Path("kept.npz").write_text("precious")
    with pytest.raises(SystemExit):
        run("classify", "--ckpt_path", trained, music / "text.mp3", "--embeddings", "kept.npz")
    assert Path("kept.npz").read_text() == "precious"
    assert not Path("kept.npz.part").exists()


def test_predict_reports_a_folder_without_a_readable_file(
    run: Run, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.mp3").touch()
    with pytest.raises(SystemExit) as ended:
        run("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={tmp_path / 'bad'}")
    assert ended.value.code == 1
    assert "empty.mp3: an empty file" in "".join(capsys.readouterr())


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="this system has no /dev/full")
def test_a_full_disk_is_reported_in_one_line(run: Run, trained: Path, music: Path) -> None:
    Path("full.csv").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as ended:
        run("classify", "--ckpt_path", trained, music / "one.wav", "--output", "full.csv")
    assert "No space left on device" in str(ended.value.code)


def song_column(table: str) -> str:
    """Return the column of songs as one text; a narrow terminal breaks names, but does not cut them."""
    return "".join(row.split("│")[2].strip() for row in table.splitlines() if row.count("│") == 4)


def test_similar_songs_of_a_path_in_the_library_or_of_another_file(
    run: Run, trained: Path, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("classify", "--ckpt_path", trained, fma / "fma_small", "--embeddings", "embeddings.npz")
    with np.load("embeddings.npz") as file:
        arrays = dict(file)
    model = load_model(trained)
    assert arrays["embedding"].shape == (24, model.backbone.embedding_dim)
    assert arrays["probs"].shape == (24, len(arrays["classes"]))
    assert arrays["classes"].tolist() == model.classes
    path, embedding = Path(arrays["path"][0]), torch.from_numpy(arrays["embedding"][0])
    clips = next(iter(SongClips([path], model.sample_rate, model.clip_samples, batch_size=8, workers=1))).waveform
    assert embedding.numpy() == pytest.approx(model.predict_with_embedding(clips)[1].mean(0).numpy(), abs=1e-6)

    capsys.readouterr()
    run("similar", "embeddings.npz", "000001.mp3", "--top_k", "3")
    table, heading = capsys.readouterr()
    assert heading.endswith("000001.mp3:\n")
    assert song_column(table).count(".mp3") == 3
    assert "000001.mp3" not in song_column(table)
    copy = Path("copy of the first.mp3")
    copy.write_bytes((fma / "fma_small" / "000" / "000001.mp3").read_bytes())
    run("similar", "embeddings.npz", copy, "--ckpt_path", trained, "--top_k", "1")
    by_embedding = "".join(capsys.readouterr())
    assert "000001.mp3" in song_column(by_embedding)
    assert "1.000" in by_embedding
    with pytest.raises(SystemExit, match="not one of the 24 songs"):
        run("similar", "embeddings.npz", copy)
    # Another file with the name of a song in the library is embedded, not mistaken for that song.
    other = Path("000001.mp3")
    other.write_bytes((fma / "fma_small" / "000" / "000005.mp3").read_bytes())
    capsys.readouterr()
    run("similar", "embeddings.npz", other, "--ckpt_path", trained, "--top_k", "1")
    assert "000005.mp3" in song_column("".join(capsys.readouterr()))
    changed = torch.load(trained, weights_only=True)
    changed["state_dict"]["head.bias"] += 1
    torch.save(changed, "other.ckpt")
    with pytest.raises(SystemExit, match="is not the model that wrote embeddings.npz"):
        run("similar", "embeddings.npz", copy, "--ckpt_path", "other.ckpt")
    Path("text.npz").write_text("text")
    with pytest.raises(SystemExit, match="is not a file of lit-genre classify --embeddings"):
        run("similar", "text.npz", copy)


def test_the_standard_output_has_the_table_alone(
    run: Run, trained: Path, fma: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    song = fma / "fma_small" / "000" / "000001.mp3"
    run("classify", "--ckpt_path", trained, song, "--output=-")
    out, err = capfd.readouterr()
    (row,) = csv.DictReader(out.splitlines())
    assert row["path"] == str(song)
    assert "Test: accuracy" in err
    run("classify", "--ckpt_path", trained, song, "--output=-", "--format=json", "--segments")
    (line,) = capfd.readouterr().out.splitlines()
    assert json.loads(line)["genre"] == row["genre"]
    assert json.loads(line)["segments"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output=-", "--segments"), "--segments writes a second CSV file"),
        (("--output=a.csv", "--format=json"), "--output a.csv is for csv, but --format is json"),
        (("--format=json",), "--format needs a file"),
        (("--yes",), "--yes carries out --copy or --move"),
    ],
)
def test_options_that_contradict_each_other_are_refused(run: Run, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run("classify", "song.mp3", *words)


def test_the_model_and_its_test_are_described(
    run: Run, trained: Path, fma: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = fma / "fma_small" / "000" / "000001.mp3"
    table = rows(trained.parents[1] / "test.csv")
    n_correct = sum(row["genre"] == row["predicted"] for row in table)
    run("classify", "--ckpt_path", trained, song)
    said = " ".join(capsys.readouterr().err.split())
    assert "Model: CRNN, 8 genres: Electronic, Experimental," in said
    assert f"Test: accuracy {n_correct / 8:.1%} of 8 tracks of FMA small" in said
    run("classify", "--ckpt_path", trained.with_name("last.ckpt"), song)
    assert "not tested yet" in capsys.readouterr().err
    alone = tmp_path / "alone.ckpt"
    shutil.copy(trained, alone)
    run("classify", "--ckpt_path", alone, song)
    assert "not in a run folder" in capsys.readouterr().err


def test_files_are_sorted_only_on_confirmation_and_none_is_replaced(
    run: Run, trained: Path, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/song.mp3", "b/song.mp3", "c/other.mp3"):
        Path(name).parent.mkdir()
        shutil.copy(fma / "fma_small" / "000" / "000001.mp3", name)
    run("classify", "--ckpt_path", trained, "a", "b", "c", "--copy", "Sorted")
    assert "Nothing was changed. Add --yes to copy 3 files" in " ".join(capsys.readouterr().err.split())
    assert not Path("Sorted").exists()
    for _ in range(2):
        run("classify", "--ckpt_path", trained, "a", "b", "c", "--copy", "Sorted", "--yes")
    (genre,) = Path("Sorted").iterdir()
    names = sorted(path.name for path in genre.iterdir())
    assert names == [
        "other (2).mp3", "other.mp3", "song (2).mp3", "song (3).mp3", "song (4).mp3", "song.mp3",
    ]  # fmt: skip
    run("classify", "--ckpt_path", trained, "a", "b", "--move", "Sorted", "--yes")
    assert not list(Path("a").iterdir())
    assert len(list(genre.iterdir())) == 8
    # A file that lies in the folder of its genre stays there.
    run("classify", "--ckpt_path", trained, "Sorted", "--move", "Sorted", "--yes")
    assert len(list(genre.iterdir())) == 8
