"""Several genres a track, unbalanced genres, whole tracks and options of the data, as a user has them."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lit_genre.data.datamodules.fma import FMADataModule
from tests.helpers.audio import tone
from tests.helpers.runs import QUIET, SMALL, Run, assert_same_weights, folder, metrics

GENRES = "genre_id,#tracks,parent,title,top_level\n12,9,0,Rock,12\n25,9,12,Punk,12\n17,9,0,Folk,17\n"
SOUND_OF = {12: 200, 25: 900, 17: 3000}


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Tracks of "large": a tone for each of their genres, of which Punk is a kind of Rock; 3 s each."""
    root = tmp_path / "several"
    (root / "fma_metadata").mkdir(parents=True)
    (root / "fma_metadata" / "genres.csv").write_text(GENRES)
    rows = [
        ",set,set,track,track,track,artist,artist,album",
        ",split,subset,genre_top,title,genres,id,name,id",
        "track_id,,,,,,,,",
    ]
    kinds = [("Rock", [25]), ("", [17, 25]), ("Folk", [17]), ("Rock", [12]), ("", [])]
    for track_id in range(40):
        genre_top, genres = kinds[track_id % 5]
        split = ("training", "training", "validation", "test")[track_id // 5 % 4]
        rows.append(f'{track_id},{split},large,{genre_top},T,"{genres}",{track_id},A,{track_id}')
        path = root / "fma_large" / "000" / f"{track_id:06d}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = sum((tone(SOUND_OF[genre], 3, amplitude=0.2) for genre in genres), tone(50, 3, amplitude=0.01))
        soundfile.write(path, sound, 22050, format="MP3")
    (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")
    return root


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_genre_implies_its_ancestors_and_each_is_found(several: Path, run: Run) -> None:
    run("fit", *SMALL, QUIET, "--data.root", several, "--data.subset=large", "--data.task=multilabel",
        "--data.batch_size=4", "--trainer.max_epochs=25")  # fmt: skip
    best = folder() / "checkpoints" / "best.ckpt"
    run("test", "--ckpt_path", best, QUIET, "--trainer.enable_progress_bar=false")
    assert max(float(row["val/average_precision_macro"]) for row in metrics(folder())) > 0.9
    tracks = {int(row["track_id"]): row for row in table(folder() / "test.csv")}
    # 15 to 19 and 35 to 39 are of the test split; 19 and 39 have no genre and no place in the task.
    assert sorted(tracks) == [15, 16, 17, 18, 35, 36, 37, 38]
    assert [tracks[track_id]["genre"] for track_id in (15, 16, 17, 18)] == [
        "Punk; Rock", "Folk; Punk; Rock", "Folk", "Rock"
    ]  # fmt: skip
    rated = {row["genre"]: row for row in table(folder() / "genres.csv")}
    assert [rated[genre]["tracks"] for genre in ("Folk", "Punk", "Rock")] == ["4", "4", "6"]
    assert (folder() / "average_precision.png").stat().st_size > 1000
    # Taken elsewhere, the checkpoint still asks the data for its own task.
    elsewhere = best.rename("elsewhere.ckpt")
    run("predict", "--ckpt_path", elsewhere, "--data.root", several, "--data.subset=large", QUIET,
        "--trainer.enable_progress_bar=false", "--trainer.default_root_dir=there")  # fmt: skip
    assert table(Path("there/predictions.csv")) == list(tracks.values())


class Tags(FMADataModule):
    """Data of one's own, of several genres a track."""

    task = "multilabel"

    def __init__(self, root: Path, sample_rate: int = 22050, clip_seconds: float | None = None) -> None:
        super().__init__(root, "large", "multilabel", sample_rate=sample_rate, clip_seconds=clip_seconds, batch_size=4)


def test_data_that_has_its_task_by_class_is_watched_by_its_score(several: Path, run: Run) -> None:
    run("fit", *SMALL, QUIET, f"--data={__name__}.Tags", "--data.root", several, "--trainer.max_epochs=1")
    assert "val/average_precision_macro" in metrics(folder())[0]
    assert (folder() / "checkpoints" / "best.ckpt").exists()


def test_single_takes_the_tracks_with_one_root(several: Path) -> None:
    data = FMADataModule(several, "large")
    assert data.classes == ["Folk", "Rock"]
    assert data.class_counts == [4, 8]
    assert all(track.track_id % 5 in (0, 2, 3) for track in data.tracks)
    assert FMADataModule(several, "large", task="multilabel").class_counts == [8, 8, 12]


def test_balancing_and_weights_are_options(several: Path, run: Run) -> None:
    run("fit", *SMALL, QUIET, "--data.root", several, "--data.subset=large", "--data.sampling=balanced",
        "--model.class_weights=true", "--trainer.max_epochs=1")  # fmt: skip
    hyperparameters = torch.load(folder() / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert hyperparameters["class_counts"] == [4, 8]


def test_whole_tracks_are_read_from_the_files_themselves(several: Path, run: Run) -> None:
    (several / "fma_large").rename(several / "fma_full")
    run("fit", *SMALL, QUIET, "--data.root", several, "--data.subset=full", "--trainer.max_epochs=3")
    (lengths,) = (several / "pcm").iterdir()
    assert (lengths / "pcm-1.int16").stat().st_size == 0
    # Decoded once, they sound the same to a step of int16: the scores differ by as little.
    run("fit", *SMALL, QUIET, "--data.root", several, "--data.subset=full", "--data.decode_once=true",
        "--trainer.max_epochs=3", "--trainer.default_root_dir=kept")  # fmt: skip
    for read, kept in zip(metrics(folder()), metrics(Path("kept")), strict=True):
        assert float(read["train/loss"]) == pytest.approx(float(kept["train/loss"]), abs=1e-3)


def test_drop_lists_leave_tracks_out(several: Path, tmp_path: Path) -> None:
    drop = tmp_path / "drop.csv"
    drop.write_text("track_id,why\n2,noise\n7,noise\n")
    data = FMADataModule(several, "large", exclude=[drop])
    assert len(data.tracks) == len(FMADataModule(several, "large").tracks) - 2
    assert not {2, 7} & {track.track_id for track in data.tracks}


def test_training_from_the_devices_memory_is_the_same_training(fma: Path, run: Run) -> None:
    common = ("fit", *SMALL, QUIET, "--data.root", fma, "--trainer.max_epochs=2")
    run(*common, "--trainer.default_root_dir=disk")
    run(*common, "--data.preload=device", "--trainer.default_root_dir=device")
    assert_same_weights(*(Path(name) / "checkpoints" / "last.ckpt" for name in ("disk", "device")))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Clips of each call of the front-end."""
    from lit_genre.model.spectrogram.frontend import LogMel

    calls: list[int] = []
    power = LogMel.power

    def counted(self: LogMel, waveform: torch.Tensor) -> torch.Tensor:
        calls.append(len(waveform))
        return power(self, waveform)

    monkeypatch.setattr(LogMel, "power", counted)
    return calls


def test_kept_spectrograms_are_computed_once(fma: Path, run: Run, computed: list[int], tmp_path: Path) -> None:
    common = (
        "fit", *SMALL, QUIET, "--data.root", fma, "--model.clip_seconds=2.5", "--data.store_root", tmp_path / "store",
        "--trainer.max_epochs=3", "--trainer.num_sanity_val_steps=0",
    )  # fmt: skip
    run(*common, "--trainer.default_root_dir=without")
    # One to know its shape; then 8 training and 8 validation tracks in each of three epochs.
    assert sum(computed) == 1 + 3 * 16
    computed.clear()
    run(*common, "--data.cache_mel=true", "--trainer.default_root_dir=with")
    assert sum(computed) == 1 + 16
    computed.clear()
    run(*common, "--data.cache_mel=true", "--trainer.default_root_dir=again")
    assert sum(computed) == 1
    # Whether a spectrogram was computed or read, the run is the same.
    assert_same_weights(*(Path(name) / "checkpoints" / "last.ckpt" for name in ("with", "again")))
    # float16 is off by a hundredth of a decibel: so much may the results differ.
    for with_cache, without in zip(metrics(Path("with")), metrics(Path("without")), strict=True):
        assert float(with_cache["train/loss"]) == pytest.approx(float(without["train/loss"]), rel=2e-3)


def test_a_front_end_that_learns_is_not_kept(fma: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        run("fit", *SMALL, QUIET, "--data.root", fma, "--data.cache_mel=true", "--model.frontend.trainable_mel=true")
    assert "this LogMel is trained" in str(error.value)


def test_labels_of_a_batch_are_memberships(several: Path) -> None:
    data = FMADataModule(several, "large", task="multilabel", clip_seconds=1.0, batch_size=3)
    data.prepare_data()
    data.setup()
    batch = next(iter(data.test_dataloader()))
    assert batch.label.shape == (3, 3)
    by_id = dict(zip(batch.track_id.tolist(), batch.label.tolist(), strict=True))
    assert by_id[15] == [0, 1, 1]
    assert np.isin(batch.label, (0, 1)).all()
