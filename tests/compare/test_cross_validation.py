"""A comparison by cross-validation: planned fold by fold, shared among processes, and pooled in the report."""

import json
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from lit_genre.__main__ import main
from lit_genre.cluster_statistics import corrected_resampled_test
from lit_genre.compare import train as module
from lit_genre.compare.claims import claim
from lit_genre.compare.plan import plan_folds
from lit_genre.compare.report.difference_table import difference_rows
from lit_genre.compare.scores.pooling import pool_folds
from lit_genre.compare.scores.significance import differences
from lit_genre.compare.train import Job, train_all
from lit_genre.errors import LitGenreError
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import read_run
from lit_genre.runs.run import Run as ReadRun
from tests.helpers.runs import CONFIGS, QUIET, Run

HOLD = """
import sys, time
from pathlib import Path
from lit_genre.compare.claims import claim
from lit_genre.runs.folder import RunFolder
with claim(RunFolder(Path(sys.argv[1]))) as is_claimed:
    print(is_claimed, flush=True)
    time.sleep(600)
"""


def test_folds_are_planned_repeat_by_repeat() -> None:
    assert [fold.suffix for fold in plan_folds(2, 2)] == [
        "-repeat0-fold0", "-repeat0-fold1", "-repeat1-fold0", "-repeat1-fold1",
    ]  # fmt: skip
    assert plan_folds(2, 2)[2].options == ("--data.folds=2", "--data.fold=0", "--data.fold_seed=1")
    (none,) = plan_folds(None, 1)
    assert none == ("", ())
    with pytest.raises(LitGenreError, match="--repeats needs a cross-validation"):
        plan_folds(None, 2)


def test_each_track_is_tested_once_and_the_folds_are_pooled(
    run: Run, fma: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def in_this_process(*words: str) -> str:
        started.append(words[0])
        main(words)
        return ""

    monkeypatch.setattr(module, "_run_command", in_this_process)
    options = [f"--data.root={fma}", "--trainer.max_epochs=1", "--model.clip_seconds=1", "--trainer.accelerator=cpu"]
    options += ["--trainer.enable_progress_bar=false", QUIET]
    words = ["compare", "--configs", json.dumps([str(CONFIGS / "cnn1d_shallow.yaml")]), "--seeds=[0]", "--folds=2"]
    words += ["--options", json.dumps(options), "--output=out"]
    # Another process trains one of the runs.
    with claim(RunFolder(Path("out/runs/cnn1d_shallow-seed0-repeat0-fold1"))) as is_claimed:
        assert is_claimed
        run(*words)
    assert started == ["baseline", "baseline", "fit", "test"]
    said = " ".join(capsys.readouterr().err.split())
    assert "Being trained by other processes, and not in this report: 1 of 4 runs." in said
    assert "cnn1d_shallow, seed 0, repeat 0: 1 of 2 folds are tested. It has no score yet." in said
    run(*words)
    assert started[4:] == ["fit", "test"]
    table = pd.read_csv("out/results.csv")
    assert sorted(table["fold"].tolist()) == [0, 0, 1, 1]
    folds = [pd.read_csv(path, index_col="track_id") for path in sorted(Path("out/runs").glob("cnn1d*/test.csv"))]
    tested = pd.concat(folds)
    assert len(tested) == tested.index.nunique() == 24
    accuracy = (tested["genre"] == tested["predicted"]).mean()
    text = Path("out/table.md").read_text()
    assert f"| {100 * accuracy:.1f} |" in text
    assert "24 test tracks by 24 artists" in Path("out/report.html").read_text()
    (network,) = pool_folds([read_run(path) for path in sorted(Path("out/runs").glob("cnn1d*"))])
    assert (network.test, len(network.members)) == (pytest.approx(accuracy), 2)
    # Over the tracks of both folds, whose probabilities are mostly below 0.2, in two of ten bins.
    confidence = tested.iloc[:, 3:].max(axis=1).to_numpy()
    right, bins = (tested["genre"] == tested["predicted"]).to_numpy(float), (confidence * 10).astype(int)
    off = sum(abs((right - confidence)[bins == number].sum()) for number in set(bins))
    assert network.calibration_error == pytest.approx(off / 24, abs=1e-4)


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "net-seed0")
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with claim(folder) as is_claimed:
            assert not is_claimed
        other.send_signal(signal.SIGKILL)
        other.wait()
    with claim(folder) as is_claimed:
        assert is_claimed


@pytest.mark.parametrize("ends_by", ["finishing", "dying"])
def test_a_run_of_another_process_is_looked_at_again_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_by: str
) -> None:
    jobs = [Job(RunFolder(tmp_path / "runs" / name), [], "fit") for name in ("theirs", "ours")]
    trained = []

    def finish(job: Job) -> None:
        job.folder.path.mkdir(parents=True)
        job.folder.summary.touch()
        job.folder.test_table.touch()

    def train(job: Job, trust: list[str]) -> None:
        if job is jobs[1]:
            if ends_by == "finishing":
                finish(jobs[0])
            other_process.close()
        trained.append(job)
        finish(job)

    monkeypatch.setattr(module, "_train_and_test", train)
    with ExitStack() as other_process:
        assert other_process.enter_context(claim(jobs[0].folder))
        assert train_all(jobs, []) == 0
    assert trained == [jobs[1]] + ([jobs[0]] if ends_by == "dying" else [])
    assert all(job.is_finished for job in jobs)


def pooled(model: str, accuracies: dict[tuple[int, int], float], n_tracks: int = 20) -> list[ReadRun]:
    """Return the pooled runs of a model, one a repeat, with the given accuracy on each (repeat, fold)."""
    runs = []
    for (repeat, fold), accuracy in accuracies.items():
        right = [position < round(accuracy * n_tracks) for position in range(n_tracks)]
        table = pd.DataFrame(
            {
                "genre": "Rock",
                "predicted": ["Rock" if is_right else "Pop" for is_right in right],
                "artist_id": range(fold * n_tracks, (fold + 1) * n_tracks),
                "confidence": 0.5,
            },
            index=range(fold * n_tracks, (fold + 1) * n_tracks),
        )
        run = ReadRun(Path(f"runs/{model}-{repeat}-{fold}"), model, seed=0, fold=fold, n_folds=2, repeat=repeat)
        run.test, run.predictions = accuracy, table
        runs.append(run)
    return pool_folds(runs)


def test_repeated_folds_must_agree_on_a_difference() -> None:
    places = [(repeat, fold) for repeat in range(2) for fold in range(2)]
    good = pooled("good", dict.fromkeys(places, 0.95))
    # On the artists, the difference is significant; over the folds it is not, as one fold has all of it.
    uneven = pooled("uneven", dict(zip(places, (0.9, 0.35, 0.95, 0.95), strict=True)))
    (pair,) = differences([*good, *uneven])
    expected = corrected_resampled_test([0.05, 0.6, 0.0, 0.0], 0.5).p
    assert pair.p_folds == pytest.approx(expected)
    assert expected > 0.05 > pair.p
    assert not pair.significant
    assert difference_rows([pair])[0][-2:] == ["p over folds", "significant"]
    # Equal differences on all folds are more than chance.
    (pair,) = differences([*good, *pooled("even", dict(zip(places, (0.5, 0.55, 0.5, 0.55), strict=True)))])
    assert pair.significant
    # Without a repeat there is no such test.
    (pair,) = differences(
        [*pooled("good", dict.fromkeys(places[:2], 0.9)), *pooled("bad", dict.fromkeys(places[:2], 0.4))]
    )
    assert (pair.p_folds, pair.significant) == (None, True)


def test_two_processes_finish_a_stopped_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads stand for processes: a claim is a lock on an open file, which threads do not share."""
    jobs = [
        Job(RunFolder(tmp_path / "runs" / f"model-seed{seed}"), [f"--seed_everything={seed}"], "fit")
        for seed in range(6)
    ]
    commands: list[tuple[str, str]] = []
    stops = [3]

    def stand_in(command: str, *words: str) -> str:
        """Write what `fit` and `test` leave behind."""
        if len(commands) in stops:
            stops.clear()
            raise KeyboardInterrupt
        folder = next(job.folder for job in jobs if job.folder.path.name in " ".join(words))
        commands.append((command, folder.path.name))
        if command == "fit":
            folder.path.mkdir(parents=True)
            folder.write_summary({})
        else:
            folder.test_table.write_text("tested")
        return ""

    monkeypatch.setattr(module, "_run_command", stand_in)
    with pytest.raises(KeyboardInterrupt):
        train_all(jobs, [])
    assert commands == [("fit", "model-seed0"), ("test", "model-seed0"), ("fit", "model-seed1")]
    together = threading.Barrier(2)

    def other() -> None:
        together.wait()
        train_all(jobs, [])

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each run was trained once and tested once, as by one process.
    assert sorted(commands) == sorted((command, job.folder.path.name) for job in jobs for command in ("fit", "test"))
    assert all(job.is_finished for job in jobs)
