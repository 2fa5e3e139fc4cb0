"""Whole runs, as a user starts, stops and resumes them, on MP3s in FMA's format."""

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from lit_genre.model.classifier import GenreClassifier
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA
from tests.helpers.runs import QUIET, SMALL, Run, assert_same_weights, folder, metrics, weights


def test_fit_test_and_predict(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=2")
    where = folder()
    assert re.fullmatch(r"CRNN-\d{8}-\d{6}", where.name)
    assert {path.name for path in where.iterdir()} == {
        "config.yaml",
        "metrics.csv",
        "summary.json",
        "curves.png",
        "checkpoints",
        ".lock",
    }
    assert {path.name for path in (where / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    rows = metrics(where)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(
        float(row[name]) >= 0 for row in rows for name in ("train/loss", "val/loss", "val/accuracy", "val/f1/Pop")
    )
    capsys.readouterr()

    # The checkpoint knows the model, and its folder the data: nothing is said of them here.
    run("test", "--ckpt_path", where / "checkpoints" / "best.ckpt", QUIET)
    said = "".join(capsys.readouterr())
    with (where / "test.csv").open(newline="") as file:
        tracks = list(csv.DictReader(file))
    right = sum(track["genre"] == track["predicted"] for track in tracks)
    assert len(tracks) == 8
    assert f"accuracy {right / 8:.1%} of 8 tracks" in said
    names = ("Hip-Hop", "mean over genres", "best.ckpt", "curves.png", "confusion.png", str(where))
    assert all(name in said for name in names)
    assert (where / "confusion.png").exists()

    # Elsewhere it needs only the data.
    shutil.copy(where / "checkpoints" / "best.ckpt", "taken.ckpt")
    run("test", "--ckpt_path=taken.ckpt", f"--data.root={fma}", QUIET, "--trainer.default_root_dir=elsewhere")
    assert Path("elsewhere/test.csv").read_text() == (where / "test.csv").read_text()

    run("predict", "--ckpt_path", "best", QUIET)
    assert (where / "predictions.csv").read_text() == (where / "test.csv").read_text()

    run("validate", "--ckpt_path", "best", QUIET)
    best = max(float(row["val/accuracy"]) for row in rows)
    assert f"val: accuracy {best:.1%}" in "".join(capsys.readouterr())


def test_a_test_of_something_else_leaves_that_of_the_run(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    where = folder()
    best, last = (where / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    run("test", "--ckpt_path", best, QUIET)
    own = (where / "test.csv").read_bytes()
    # With its logger, which is of the run.
    run("test", "--ckpt_path", last)
    assert (where / "tests" / f"last-{fma.name}-fma_small" / "confusion.png").exists()
    # The same tracks at another place are the run's own data, and others are not.
    (where / "test.csv").unlink()
    shutil.copytree(fma, "moved")
    run("test", "--ckpt_path", best, QUIET, "--data.root=moved")
    assert (where / "test.csv").read_bytes() == own
    tested = own.decode().splitlines()[1].split(",")[0]
    Path("drop.txt").write_text(f"{tested}\n")
    run("test", "--ckpt_path", best, QUIET, "--data.root=moved", "--data.exclude=[drop.txt]")
    assert (where / "tests" / "best-moved-fma_small" / "test.csv").exists()
    assert (where / "test.csv").read_bytes() == own
    (where / "test.csv").unlink()
    run("test", "--ckpt_path", best, QUIET, "--data.root=moved", "--trainer.default_root_dir=elsewhere")
    assert Path("elsewhere/test.csv").read_bytes() == own
    assert not (where / "test.csv").exists()
    run("test", "--ckpt_path", best, QUIET, "--data.root=moved")
    with pytest.raises(SystemExit, match="Leave out --trainer.default_root_dir elsewhere"):
        run("fit", "--ckpt_path", last, QUIET, "--trainer.default_root_dir=elsewhere", "--trainer.max_epochs=2")
    assert (where / "test.csv").read_bytes() == own
    # What a test said is of weights that are no more.
    run("fit", "--ckpt_path", last, QUIET, "--data.root=moved", "--trainer.max_epochs=2")
    assert not (where / "test.csv").exists()
    assert not (where / "confusion.png").exists()
    assert (where / "summary.json").exists()


def test_a_run_does_not_go_on_with_other_music(run: Run, fma: Path, write_fma: WriteFMA) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    kept = {path: path.read_bytes() for path in folder().rglob("*") if path.is_file()}
    splits = ("training", "training", "validation", "test")
    other = write_fma({700 + n: (splits[n % 4], ("Rock", "Pop")[n // 4], tone(100.0 * (n + 1), 2.0)) for n in range(8)})
    with pytest.raises(SystemExit, match=r"trained on 8 tracks, of which 0 are among the 4 training tracks in "):
        run("fit", "--ckpt_path=last", QUIET, f"--data.root={other}", "--trainer.max_epochs=2")
    assert {path: path.read_bytes() for path in folder().rglob("*") if path.is_file()} == kept


def test_probabilities_of_a_track_sum_to_one_and_agree_with_the_model(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    run("test", "--ckpt_path=best", f"--data.root={fma}", QUIET)
    model = GenreClassifier.load_from_checkpoint(folder() / "checkpoints" / "last.ckpt", weights_only=True)
    with (folder() / "test.csv").open(newline="") as file:
        for track in csv.DictReader(file):
            probs = [float(track[name]) for name in model.classes]
            assert sum(probs) == pytest.approx(1, abs=1e-5)
            assert model.classes[probs.index(max(probs))] == track["predicted"]


def without_cost(path: Path) -> list[dict[str, str]]:
    return [
        {name: value for name, value in row.items() if name not in ("seconds", "memory_gb")} for row in metrics(path)
    ]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_weights(run: Run, fma: Path, num_workers: int) -> None:
    common = (*SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=4", f"--data.num_workers={num_workers}")
    run("fit", *common, "--trainer.max_epochs=4", "--trainer.default_root_dir=whole")
    run("fit", *common, "--trainer.max_epochs=2")
    # Neither data nor model are said again, for the run's own configuration is in its folder; the seed is the run's.
    run("fit", "--ckpt_path", "last", "--trainer.max_epochs=4", "--seed_everything=9")
    assert_same_weights(Path("whole/checkpoints/last.ckpt"), folder() / "checkpoints" / "last.ckpt")
    assert without_cost(folder()) == without_cost(Path("whole"))


def test_a_run_that_has_moved_is_resumed_where_it_lies(run: Run, fma: Path) -> None:
    common = (*SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=4")
    run("fit", *common, "--trainer.max_epochs=4", "--trainer.default_root_dir=whole")
    run("fit", *common, "--trainer.max_epochs=2", "--trainer.default_root_dir=here")
    Path("here").rename("there")
    run("fit", "--ckpt_path=there/checkpoints/last.ckpt", "--trainer.max_epochs=4")
    assert not Path("here").exists()
    for name in ("best", "last"):
        assert_same_weights(Path(f"whole/checkpoints/{name}.ckpt"), Path(f"there/checkpoints/{name}.ckpt"))
    assert {path.name for path in Path("there/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_the_recipe_in_the_folder_makes_a_run_of_its_own(run: Run, fma: Path) -> None:
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.default_root_dir=a")
    # W&B's own process may still write to its log.
    kept = ["config.yaml", "metrics.csv", "summary.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"]
    before = [Path("a", name).read_bytes() for name in kept]
    run("fit", "--config=a/config.yaml", "--trainer.default_root_dir=b")
    assert [Path("a", name).read_bytes() for name in kept] == before
    assert_same_weights(Path("a/checkpoints/last.ckpt"), Path("b/checkpoints/last.ckpt"))
    assert list(Path("b").glob("wandb/offline-run-*"))


@pytest.mark.filterwarnings("ignore:.*val/accuracy")
def test_epochs_without_validation_have_no_validation_scores(run: Run, fma: Path) -> None:
    run(
        "fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=2"
    )  # fmt: skip
    assert [bool(row["val/loss"]) for row in metrics(folder())] == [False, True, False, True]


def test_a_run_that_is_stopped_by_ctrl_c_is_resumed(run: Run, fma: Path, tmp_path: Path) -> None:
    words = [*map(str, SMALL), QUIET, f"--data.root={fma}", "--trainer.max_epochs=400"]
    process = subprocess.Popen([sys.executable, "-m", "lit_genre", "fit", *words], cwd=tmp_path, stderr=subprocess.PIPE)
    while process.poll() is None and len(list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))) == 0:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert b"To resume: lit-genre fit --ckpt_path" in said
    reached = torch.load(folder() / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] + 1
    assert reached < 400
    run("fit", "--ckpt_path=last", f"--trainer.max_epochs={reached + 2}")
    assert [int(row["epoch"]) for row in metrics(folder())] == list(range(reached + 2))


def test_the_seed_decides_the_weights(run: Run, fma: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run(
            "fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1", f"--seed_everything={seed}",
            f"--trainer.default_root_dir={name}",
        )  # fmt: skip
    assert_same_weights(Path("a/checkpoints/last.ckpt"), Path("b/checkpoints/last.ckpt"))
    different = [weights(Path(f"{name}/checkpoints/last.ckpt"))["head.weight"] for name in "ac"]
    assert not torch.equal(*different)


# Lightning's own, on what cannot be selected without validation.
@pytest.mark.filterwarnings("ignore:Total length of", "ignore:.*val/accuracy")
def test_a_single_training_track_trains(run: Run, write_fma: WriteFMA, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_fma({2: ("training", "Hip-Hop", tone(220, 1.5)), 3: ("test", "Rock", tone(440, 1.5))})
    run("fit", *SMALL, QUIET, f"--data.root={root}", "--trainer.max_steps=1")
    said = "".join(capsys.readouterr())
    assert "not validated" in said
    assert "Genres without a track in a split: Hip-Hop (test), Rock (train)." in said
    assert torch.load(folder() / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 1


def test_data_of_one_genre_is_refused_at_the_start(run: Run, write_fma: WriteFMA) -> None:
    root = write_fma({2: ("training", "Rock", tone(220, 1.5)), 3: ("test", "Rock", tone(440, 1.5))})
    with pytest.raises(SystemExit, match="one genre|one class"):
        run("fit", *SMALL, QUIET, f"--data.root={root}")
    assert not Path("runs").exists()


def test_fast_dev_run_leaves_nothing(run: Run, fma: Path) -> None:
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.fast_dev_run=true")
    assert not Path("runs").exists()


def test_best_is_of_the_newest_finished_run_and_last_of_the_newest(
    run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    finished = folder()
    newer = Path("runs/newer/checkpoints")
    newer.mkdir(parents=True)
    run("test", QUIET, f"--data.root={fma}", "--ckpt_path=best")
    said = " ".join("".join(capsys.readouterr()).split())
    assert f"Checkpoint: {finished}/checkpoints/best.ckpt (newest finished run; runs/newer is not finished)" in said
    with pytest.raises(SystemExit) as error:
        run("test", QUIET, f"--data.root={fma}", "--ckpt_path=last")
    assert f"no checkpoint {newer}/last.ckpt" in str(error.value)
    assert str(finished) in str(error.value)
    (finished / "summary.json").unlink()
    with pytest.raises(SystemExit, match=rf"no checkpoint {newer}/best\.ckpt"):
        run("test", QUIET, f"--data.root={fma}", "--ckpt_path=best")


def test_a_folder_that_holds_a_run_is_not_overwritten(run: Run, fma: Path) -> None:
    words = (*SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.default_root_dir=mine")
    run("fit", *words)
    before = Path("mine/metrics.csv").read_bytes()
    with pytest.raises(SystemExit) as error:
        run("fit", *words)
    assert "mine already contains a run" in str(error.value)
    assert Path("mine/metrics.csv").read_bytes() == before


def test_the_config_of_a_run_is_in_its_folder(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1")
    config = yaml.safe_load((folder() / "config.yaml").read_text())
    assert config["seed_everything"] == 0
    assert config["data"]["init_args"]["root"] == str(fma)
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.001
