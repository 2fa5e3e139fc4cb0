"""A run's folder: whose it is, who may write into it, and when."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

import lit_genre
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.locate import discard_empty_folders, new_run_folder
from tests.helpers.runs import CONFIGS, QUIET, SMALL, metrics

Run = Callable[..., None]


def fit(run: Run, fma: Path, *words: object) -> Path:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.default_root_dir=own", *words)
    return Path("own/checkpoints/last.ckpt")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.max_epochs=1"],
        ["--trainer.max_epochs=3", "--model.optimizer=torch.optim.SGD"],
        ["--trainer.max_epochs=3", "--model.backbone.filters=[4]"],
        ["--trainer.max_epochs=3", "--trainer.limit_train_batches=-1"],
    ],
)
def test_a_refused_resume_leaves_the_run_as_it_was(run: Run, fma: Path, words: list[str]) -> None:
    last = fit(run, fma, "--trainer.max_epochs=2")
    run("test", "--ckpt_path", "own/checkpoints/best.ckpt", QUIET)
    before = content(Path("own"))
    assert {"own/summary.json", "own/test.csv", "own/config.yaml"} <= before.keys()
    with pytest.raises(SystemExit):
        run("fit", "--ckpt_path", last, *words)
    assert content(Path("own")) == before
    run("fit", "--ckpt_path", last, "--trainer.max_epochs=3")
    assert len(metrics(Path("own"))) == 3
    # The test was of other weights.
    assert not Path("own/test.csv").exists()


def test_a_refused_run_leaves_no_folder(run: Run, fma: Path) -> None:
    with pytest.raises(SystemExit):
        run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.limit_train_batches=-1")
    assert not Path("runs").exists()


def test_callbacks_of_a_configuration_are_added_to_those_that_every_run_has(run: Run, fma: Path) -> None:
    described = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    Path("stop.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [described]}}))
    fit(run, fma, "--config", "stop.yaml", "--trainer.max_epochs=1", "--without_callbacks=[Dashboard,best]")
    assert Path("own/metrics.csv").exists()
    assert sorted(path.name for path in Path("own/checkpoints").iterdir()) == ["last.ckpt"]
    saved = yaml.safe_load(Path("own/config.yaml").read_text())["trainer"]["callbacks"]
    names = [callback["class_path"].rpartition(".")[2] for callback in saved]
    assert names == ["Telemetry", "SaveOnSigterm", "History", "TrackReport", "RunCheckpoint", "EarlyStopping"]
    # A resumed run has each of them once.
    run("fit", "--ckpt_path", "own/checkpoints/last.ckpt", "--trainer.max_epochs=2")
    again = yaml.safe_load(Path("own/config.yaml").read_text())["trainer"]["callbacks"]
    assert again == saved


def test_a_checkpoint_of_one_s_own_takes_the_place_of_the_default(run: Run, fma: Path) -> None:
    described = {
        "class_path": "lit_genre.callbacks.checkpoint.RunCheckpoint",
        "init_args": {"filename": "best", "monitor": "val/loss", "mode": "min"},
    }
    Path("best.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [described]}}))
    last = fit(run, fma, "--config", "best.yaml", "--trainer.max_epochs=1")
    states = torch.load(last, weights_only=True)["callbacks"]
    assert states["RunCheckpoint{'filename': 'best'}"]["monitor"] == "val/loss"


def test_a_name_that_is_no_default_callback_is_refused(run: Run, fma: Path) -> None:
    with pytest.raises(SystemExit, match=r"without_callbacks names Dashbord.*Dashboard"):
        fit(run, fma, "--without_callbacks=[Dashbord]")


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_run_folder("CRNN"), range(24)))
    assert len(set(folders)) == 24
    folders[0].metrics.touch()
    discard_empty_folders()
    assert [path.name for path in Path("runs").iterdir()] == [folders[0].path.name]


def test_of_two_fits_into_one_folder_one_is_refused(run: Run, fma: Path) -> None:
    # Of another process, as a lock of this one would be its own.
    code = (
        "import sys, pathlib\nfrom lit_genre.runs.folder import RunFolder\n"
        "with RunFolder(pathlib.Path('own')).training_lock():\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SystemExit, match="Another process is training in own"):
            fit(run, fma, "--trainer.max_epochs=1")
        other.communicate("")
    fit(run, fma, "--trainer.max_epochs=1")
    with RunFolder(Path("own")).training_lock():
        pass  # It is free again.


def test_w_and_b_leaves_no_empty_folders(run: Run, fma: Path) -> None:
    offline = ["--config", CONFIGS / "data" / "demo.yaml"]
    run("fit", *SMALL, *offline, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.default_root_dir=own")
    run("test", "--ckpt_path", "own/checkpoints/best.ckpt")
    empty = [path for path in Path("own").rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert not [path for path in empty if "staging" in path.parts]


def test_a_name_that_stands_twice_in_a_configuration_is_refused(run: Run, fma: Path) -> None:
    Path("twice.yaml").write_text("trainer:\n  max_epochs: 3\nmodel:\n  clip_seconds: 1\ntrainer:\n  precision: 32\n")
    with pytest.raises(SystemExit, match=r"twice.yaml.*line 5.*trainer.*line 1"):
        fit(run, fma, "--config", "twice.yaml")


def test_the_folder_of_a_checkpoint_is_that_of_its_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert RunFolder.of_checkpoint(run.best) is None
    run.write_config("data: {class_path: lit_genre.FMADataModule}\n")
    assert RunFolder.of_checkpoint(run.best) == RunFolder.of_checkpoint(run.checkpoint("other")) == run
    assert RunFolder.of_checkpoint(run.path / "best.ckpt") is None
    assert run.is_own()
    assert "lit_genre.FMADataModule" in run.own_texts()
    assert [path.name for path in run.path.iterdir()] == ["config.yaml"]


def test_a_folder_contains_a_run_from_its_first_checkpoint_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_metrics([{"epoch": 0}])
    # Its first epoch was not saved in a checkpoint.
    assert not run.contains_run()
    run.checkpoints.mkdir()
    run.last.touch()
    assert run.contains_run()
    run.last.unlink()
    run.write_metrics([{"epoch": 0}, {"epoch": 1, "val/accuracy": 0.5}])
    assert run.contains_run()
    assert metrics(run.path)[0] == {"epoch": "0", "val/accuracy": ""}


def test_no_other_module_spells_the_files_of_a_run() -> None:
    names = r"config\.yaml|(metrics|test|predictions)\.csv|summary\.json|(best|last)\.ckpt|checkpoints(/|$)"
    package = Path(lit_genre.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            # In a sentence a space comes before or after the name of a file, in a path neither.
            if isinstance(node, ast.Constant) and re.search(rf"(^|/)({names})(?! )", str(node.value)):
                found.add(path.relative_to(package).as_posix())
    assert found == {"runs/folder.py"}
