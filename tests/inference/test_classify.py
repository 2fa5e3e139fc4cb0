import csv
import json
import os
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


def test_it_says_of_the_test_tracks_what_the_test_said(run: Run, trained: Path, fma: Path) -> None:
    tracks = {track.track_id: track for track in load_tracks(fma, "small") if track.split == "test"}
    files = {fma / "fma_small" / "000" / f"{track_id:06d}.mp3": track_id for track_id in tracks}
    run("classify", trained, *files, "--output", "genres.csv")
    tested = {int(row["track_id"]): row for row in rows(trained.parents[1] / "test.csv")}
    answers = rows(Path("genres.csv"))
    assert len(answers) == len(tested) == len(files)
    for row in answers:
        test = tested[files[Path(row["path"])]]
        assert row["genre"] == test["predicted"]
        for genre in load_model(trained).classes:
            assert float(row[genre]) == pytest.approx(float(test[genre]), abs=2e-6)


def test_predict_says_the_same_as_classify(run: Run, trained: Path, fma: Path) -> None:
    run("classify", trained, fma / "fma_small", "--output", "genres.csv")
    run("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={fma / 'fma_small'}")
    answers = {row["path"]: row for row in rows(Path("genres.csv"))}
    predictions = rows(trained.parents[1] / "predictions.csv")
    assert len(predictions) == len(answers) == 24
    for row in predictions:
        answer = answers[row["path"]]
        assert row["predicted"] == answer["genre"]
        assert float(row["Rock"]) == pytest.approx(float(answer["Rock"]), abs=2e-6)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three songs, one of an odd name, and three files that are none."""
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
def test_what_cannot_be_read_is_reported_at_the_end_and_by_the_exit_status(
    run: Run, trained: Path, music: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "classify": ("classify", trained, music),
        "predict": ("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={music}"),
    }[command]
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == SOME_UNREADABLE
    said = capsys.readouterr().out
    assert "3 of 6 files could not be read" in said
    assert "empty.mp3: an empty file" in said
    assert "gone.mp3: No such file" in said
    assert "text.mp3: no audio that can be decoded" in said


def test_nothing_readable_is_a_failure(run: Run, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(SystemExit) as ended:
        run("classify", trained, tmp_path / "empty.mp3")
    assert ended.value.code == 1


def test_every_format_has_path_genres_and_moments(run: Run, trained: Path, music: Path) -> None:
    classes = load_model(trained).classes
    for name in ("genres.csv", "genres.jsonl"):
        with pytest.raises(SystemExit):
            run("classify", trained, music, "--output", name, "--segments", "--top_k", "2")
    songs, moments = rows(Path("genres.csv")), rows(Path("genres.segments.csv"))
    objects = [json.loads(line) for line in Path("genres.jsonl").read_text().splitlines()]
    assert len(songs) == len(objects) == 3
    assert any("\r\n" in row["path"] for row in songs)
    # Each byte of a name survives in JSON; CSV is UTF-8 whatever the name.
    assert {os.fsencode(entry["path"]) for entry in objects} == {
        os.fsencode(path) for path in music.rglob("*") if path.suffix in (".wav", ".flac")
    }
    for row, entry in zip(songs, objects, strict=True):
        shares = {genre: float(row[genre]) for genre in classes}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["genre"] == entry["genre"] == max(shares, key=shares.__getitem__)
        assert entry["genres"] == pytest.approx(dict(sorted(shares.items(), key=lambda item: -item[1])[:2]))
        assert entry["seconds"] == float(row["seconds"]) == 2.5
        its_moments = [moment for moment in moments if moment["path"] == row["path"]]
        assert [float(moment["start"]) for moment in its_moments] == [0, 0.75, 1.5]
        assert [moment["end"] for moment in entry["segments"]] == [1, 1.75, 2.5]
        mean = np.mean([float(moment["Rock"]) for moment in its_moments])
        assert mean == pytest.approx(shares["Rock"], abs=2e-6)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nothing.mp3"], "There is no file or folder nothing.mp3"),
        (["{song}", "--output", "genres.txt"], "must end in .csv or .jsonl"),
        (["{song}", "--embeddings", "heard.csv"], "must end in .npz"),
        (["{song}", "--segments"], "--segments needs a file"),
        (["{song}", "--batch_size", "0"], "batch_size is 0, but must be at least 1"),
        (["{song}", "--device", "meta"], "This machine has no device 'meta'"),
        (["{song}", "--device", "tpu9"], "This machine has no device 'tpu9'"),
        (["{song}", "--top_k", "0"], "top_k is 0, but must be at least 1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_heard(
    run: Run, trained: Path, music: Path, words: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("classify", trained, *(word.format(song=music / "one.wav") for word in words))
    assert reason in str(ended.value.code)


def test_nothing_is_written_over_by_a_command_line_that_is_wrong(run: Run, trained: Path, music: Path) -> None:
    Path("kept.csv").write_text("precious")
    with pytest.raises(SystemExit):
        run("classify", trained, music / "one.wav", "--output", "kept.csv", "--embeddings", "heard.txt")
    assert Path("kept.csv").read_text() == "precious"
    Path("kept.npz").write_text("precious")
    with pytest.raises(SystemExit):
        run("classify", trained, music / "text.mp3", "--embeddings", "kept.npz")
    assert Path("kept.npz").read_text() == "precious"
    assert not Path("kept.npz.part").exists()


def test_predict_survives_a_folder_without_a_readable_file(
    run: Run, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.mp3").touch()
    with pytest.raises(SystemExit) as ended:
        run("predict", "--ckpt_path", trained, "--data=lit_genre.PredictDataModule", f"--data.path={tmp_path / 'bad'}")
    assert ended.value.code == 1
    assert "empty.mp3: an empty file" in capsys.readouterr().out


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="this system has no /dev/full")
def test_a_full_disk_is_said_in_one_line(run: Run, trained: Path, music: Path) -> None:
    Path("full.csv").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as ended:
        run("classify", trained, music / "one.wav", "--output", "full.csv")
    assert "No space left on device" in str(ended.value.code)


def songs(table: str) -> str:
    """Read the column of songs, whose names a narrow terminal breaks, but does not cut."""
    return "".join(row.split("│")[2].strip() for row in table.splitlines() if row.count("│") == 4)


def test_similar_songs_are_found_by_name_or_by_ear(
    run: Run, trained: Path, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("classify", trained, fma / "fma_small", "--embeddings", "embeddings.npz")
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
    by_name = capsys.readouterr().out
    heading, _, table = by_name.partition("\n")
    assert heading.endswith("000001.mp3:")
    assert songs(table).count(".mp3") == 3
    assert "000001.mp3" not in songs(table)
    copy = Path("copy of the first.mp3")
    copy.write_bytes((fma / "fma_small" / "000" / "000001.mp3").read_bytes())
    run("similar", "embeddings.npz", copy, "--ckpt_path", trained, "--top_k", "1")
    by_ear = capsys.readouterr().out
    assert "000001.mp3" in songs(by_ear)
    assert "1.000" in by_ear
    with pytest.raises(SystemExit, match="not one of the 24 songs"):
        run("similar", "embeddings.npz", copy)
    # Another song of a name that is in there is heard, and not mistaken for that.
    other = Path("000001.mp3")
    other.write_bytes((fma / "fma_small" / "000" / "000005.mp3").read_bytes())
    capsys.readouterr()
    run("similar", "embeddings.npz", other, "--ckpt_path", trained, "--top_k", "1")
    assert "000005.mp3" in songs(capsys.readouterr().out)
    changed = torch.load(trained, weights_only=True)
    changed["state_dict"]["head.bias"] += 1
    torch.save(changed, "other.ckpt")
    with pytest.raises(SystemExit, match="is not the model that wrote embeddings.npz"):
        run("similar", "embeddings.npz", copy, "--ckpt_path", "other.ckpt")
    Path("text.npz").write_text("text")
    with pytest.raises(SystemExit, match="is not a file of lit-genre classify --embeddings"):
        run("similar", "text.npz", copy)
