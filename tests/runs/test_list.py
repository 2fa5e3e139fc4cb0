"""The command `runs`."""

import json
import os
from pathlib import Path

import pytest

from tests.helpers.runs import Run

CONFIG = """model:
  backbone: {class_path: lit_genre.CRNN}
data:
  class_path: lit_genre.FMADataModule
  init_args: {root: data/demo, subset: small}
"""


def write_run(path: Path, *, finished: bool, seconds: int) -> None:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(CONFIG)
    (path / "metrics.csv").write_text("epoch,train/accuracy,val/accuracy\n0,0.3,0.5\n1,0.6,\n2,0.7,0.75\n")
    if finished:
        (path / "summary.json").write_text("{}")
        (path / "test.csv").write_text(
            "track_id,genre,predicted,artist_id\n1,Rock,Rock,7\n2,Pop,Rock,7\n3,Pop,Pop,-1\n4,Pop,Pop,8\n"
        )
    os.utime(path, (seconds, seconds))


def test_runs_are_listed_newest_first_with_scores_and_state(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("runs/old"), finished=True, seconds=1000)
    write_run(Path("runs/new"), finished=False, seconds=2000)
    Path("runs/no-run").mkdir()
    run("runs", "--format=json")
    newest, oldest = json.loads(capsys.readouterr().out)
    assert newest == {
        "path": "runs/new", "backbone": "CRNN", "data": "FMA small data/demo", "epochs": 3, "val": 0.75, "test": None,
        "state": "unfinished",
    }  # fmt: skip
    assert (oldest["path"], oldest["test"], oldest["state"]) == ("runs/old", 0.75, "finished")
    run("runs")
    assert "75.0%" in capsys.readouterr().out


def test_a_damaged_run_is_a_row_with_its_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("runs/good"), finished=True, seconds=1000)
    write_run(Path("runs/bad"), finished=True, seconds=2000)
    Path("runs/bad/config.yaml").write_text("data: [1\n")
    run("runs", "--format=json")
    bad, good = json.loads(capsys.readouterr().out)
    assert "config.yaml" in bad["state"]
    assert good["state"] == "finished"


def test_a_missing_folder_is_an_error(run: Run) -> None:
    with pytest.raises(SystemExit, match="There is no folder runs"):
        run("runs")
