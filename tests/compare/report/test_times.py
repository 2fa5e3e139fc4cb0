"""The times of a comparison: features, training and what neither includes, by a clock that the test moves."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lit_genre.baseline import command as baseline
from lit_genre.callbacks.history import History
from lit_genre.compare.report.tables import TIMES
from lit_genre.compare.report.write import report
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.probe import command as probe
from lit_genre.probe.embeddings import EmbeddingCache
from lit_genre.runs.reader import read_run
from lit_genre.runs.writer import timed
from tests.compare.report.test_report import write_run
from tests.helpers.runs import QUIET, SMALL, Run

DECODING, TRAINING, SCORING = 10_000.0, 7.0, 20_000.0
FEATURES = {"train": 5.0, "val": 3.0, "test": 400.0}


class Clock:
    """A clock that moves only in functions that the test names."""

    now = 0.0

    def lasting(self, function: Callable[..., Any], seconds: Callable[..., float]) -> Callable[..., Any]:
        """Let each call of a function take a number of seconds, which depends on its arguments."""

        def call(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            self.now += seconds(*args)
            return result

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    decode = clock.lasting(TrackDataModule.prepare_data, lambda data: DECODING)
    monkeypatch.setattr(TrackDataModule, "prepare_data", decode)
    return clock


def test_a_call_is_timed(clock: Clock) -> None:
    clock.now = 100.0
    assert timed(clock.lasting(lambda: "result", lambda: 2.5)) == ("result", 2.5)


def test_the_times_of_a_baseline_leave_out_decoding_and_test(
    run: Run, fma: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        baseline,
        "_compute_features",
        clock.lasting(baseline._compute_features, lambda data, split, *more: FEATURES[split]),
    )
    monkeypatch.setattr(baseline, "fit_classifier", clock.lasting(baseline.fit_classifier, lambda *args: TRAINING))
    monkeypatch.setattr(baseline, "_score", clock.lasting(baseline._score, lambda *args: SCORING))
    run("baseline", f"--data.root={fma}", "--classifier=logistic", "--output=out")
    assert pd.read_csv("out/metrics.csv")["seconds"].tolist() == [7]
    found = read_run(Path("out"))
    assert (found.feature_seconds, found.seconds) == (8, 7)


def test_the_times_of_a_probe_leave_out_decoding_and_test_and_embeddings_of_an_earlier_run(
    run: Run, fma: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        EmbeddingCache, "embed", clock.lasting(EmbeddingCache.embed, lambda self, split: FEATURES[split])
    )
    monkeypatch.setattr(probe, "fit_head", clock.lasting(probe.fit_head, lambda *args: TRAINING))
    monkeypatch.setattr(probe, "_score", clock.lasting(probe._score, lambda *args: SCORING))
    words = ("probe", *SMALL, "--device=cpu", "--embeddings=kept", f"--data.root={fma}")
    run(*words, "--output=first")
    run(*words, "--output=second")
    assert pd.read_csv("first/metrics.csv")["seconds"].tolist() == [7]
    first, second = read_run(Path("first")), read_run(Path("second"))
    assert (first.feature_seconds, first.seconds) == (8, 7)
    # They were not computed, and the time of reading them is no feature time.
    assert (second.feature_seconds, second.seconds) == (None, 7)
    assert json.loads(Path("second/summary.json").read_text())["feature_seconds"] is None


def test_the_time_of_a_network_is_its_epochs_with_their_validation(
    run: Run, fma: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated = clock.lasting(History.on_validation_end, lambda history, trainer, module: 3.0)
    monkeypatch.setattr(History, "on_validation_end", validated)
    monkeypatch.setattr(History, "on_fit_end", clock.lasting(History.on_fit_end, lambda *args: SCORING))
    options = ("--trainer.max_epochs=2", "--trainer.default_root_dir=out", "--trainer.num_sanity_val_steps=0")
    run("fit", *SMALL, QUIET, f"--data.root={fma}", *options)
    run("test", "--ckpt_path=out/checkpoints/best.ckpt", QUIET, "--trainer.accelerator=cpu")
    found = read_run(Path("out"))
    assert found.history["seconds"].tolist() == [3, 3]
    assert (found.feature_seconds, found.seconds) == (0, 6)


def test_tables_have_both_times_and_their_definition(tmp_path: Path) -> None:
    network = write_run(tmp_path / "net-seed0", "CRNN", [True] * 8, [0.5, 0.6])
    folder = write_run(tmp_path / "svm", "SVM", [True] * 8, [0.5])
    summary = {"parameters": None, "name": "MFCC+SVM", "baseline": True, "feature_seconds": 0.25}
    (folder / "summary.json").write_text(json.dumps(summary))
    kept = write_run(tmp_path / "kept", "Encoder", [True] * 8, [0.5])
    (kept / "summary.json").write_text(json.dumps({"name": "probe", "parameters": 5, "feature_seconds": None}))
    runs = [read_run(path) for path in (network, folder, kept)]
    report(runs, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "results.csv", index_col="model")
    assert table["feature_seconds"].tolist()[:2] == [0, 0.25]
    assert table["feature_seconds"].isna().tolist() == [False, False, True]
    assert table["training_seconds"].tolist() == [5, 2.5, 2.5]
    text = (tmp_path / "report" / "table.md").read_text()
    assert "| feature time, s | 0.0 | 0.2 |  |" in text
    assert "| training time, s | 5.0 | 2.5 | 2.5 |" in text
    # Once, and not within the table.
    assert text.count(f"\n\n{TIMES}\n") == 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert TIMES in page
    assert "feature seconds" in page
    assert "<td data-value='0.2'>0.2</td>" in page
