"""A comparison of the multilabel task: average precision, its standard error by artist, and the report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from lit_genre.compare import train
from lit_genre.compare.plan import trains_multilabel
from lit_genre.compare.scores.average_precision import RankedGenre, precision_differences
from lit_genre.compare.scores.jackknife import jackknife
from lit_genre.runs.reader import read_run
from lit_genre.runs.run import Run as ReadRun
from tests.helpers.runs import CONFIGS, QUIET, SMALL, Run


@pytest.mark.parametrize("decimals", [1, 6])
def test_average_precision_is_that_of_scikit_learn_with_ties_and_weights(decimals: int) -> None:
    random = np.random.default_rng(0)
    probs, present = random.random(200).round(decimals), random.random(200) < 0.3
    weights = random.integers(0, 3, 200).astype(float)
    ranked = RankedGenre(probs, present)
    for weight in (np.ones(200), weights):
        expected = average_precision_score(present, probs, sample_weight=weight)
        assert ranked.average_precision(weight) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(ranked.average_precision(np.where(present, 0.0, 1.0)))


def test_the_jackknife_of_a_mean_is_students_t() -> None:
    values, clusters = np.random.default_rng(0).normal(0.3, 1, 40), np.arange(40)
    test = jackknife(lambda weights: float((weights * values).sum() / weights.sum()), clusters)
    error = values.std(ddof=1) / np.sqrt(40)
    assert test.value == pytest.approx(values.mean())
    assert test.interval.high - test.value == pytest.approx(2.0227 * error, rel=1e-4)
    few = jackknife(lambda weights: float((weights * values[:5]).sum() / weights.sum()), np.arange(5))
    assert few.p == 1


def made_run(model: str, seed: int, noise: float, artist_noise: float = 0.0, n_artists: int = 40) -> ReadRun:
    """A run on 3 tracks of each artist, whose probabilities are the labels plus noise."""
    random = np.random.default_rng([seed, len(model)])
    artists = np.repeat(np.arange(n_artists), 3)
    # The labels are the same for all runs.
    labels = np.random.default_rng(7).random((len(artists), 4)) < 0.4
    offsets = random.normal(0, artist_noise, (n_artists, 4))[artists] if artist_noise else 0.0
    run = ReadRun(Path(model), model, task="multilabel")
    run.probs = 1 / (1 + np.exp(-(2.0 * labels + random.normal(0, noise, labels.shape) + offsets)))
    run.labels, run.label_names = labels, list("abcd")
    run.predictions = pd.DataFrame({"genre": "", "predicted": "", "artist_id": artists})
    return run


def test_equal_models_seldom_differ_and_a_better_one_does() -> None:
    """With errors common to an artist's tracks; 5 % and twice the standard error of 150 simulations are 8.6 %."""
    p = [
        precision_differences([made_run("a", seed, 1.0, 1.5), made_run("bb", seed, 1.0, 1.5)])[0].p
        for seed in range(150)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.086
    (pair,) = precision_differences([made_run("worse", 0, 4.0), made_run("better one", 0, 1.0)])
    assert (pair.first, pair.clusters, pair.tracks) == ("better one", 40, 120)
    assert 0 < pair.low < pair.points < pair.high
    assert pair.significant


def test_runs_are_compared_on_the_tracks_that_all_have() -> None:
    first, second = made_run("a", 0, 1.0), made_run("bb", 0, 1.0)
    order = np.random.default_rng(0).permutation(120)
    shuffled = made_run("bb", 0, 1.0)
    shuffled.predictions, shuffled.probs = second.predictions.iloc[order], second.probs[order]
    shuffled.labels = second.labels[order]
    assert precision_differences([first, shuffled]) == precision_differences([first, second])
    second.predictions, second.probs, second.labels = second.predictions[:90], second.probs[:90], second.labels[:90]
    (pair,) = precision_differences([first, second])
    assert (pair.tracks, pair.clusters) == (90, 30)


def test_a_comparison_of_two_networks(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        folder = Path("runs") / f"{name}-seed0"
        run(
            "fit", *SMALL, QUIET, f"--data.root={fma}", "--data.task=multilabel", "--trainer.max_epochs=1",
            f"--trainer.default_root_dir={folder}", f"--seed_everything={ord(name)}",
        )  # fmt: skip
        run("test", f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}")
    capsys.readouterr()
    run("compare", "--report_only", "--runs", "[runs/*]", "--output", "out")
    text = Path("out/table.md").read_text()
    assert "test average precision, mean over genres, %" in text
    assert "accuracy" not in text
    results = pd.read_csv("out/results.csv")
    assert results["test_accuracy"].isna().all()
    read = read_run(Path("runs/a-seed0"))
    assert read.average_precision == pytest.approx(results["test_average_precision"][0], abs=1e-6)
    assert read.labels.sum(1).min() >= 1
    assert {"curves.png", "differences.csv", "report.html"} <= {path.name for path in Path("out").iterdir()}
    assert "Average precision of each genre, %" in Path("out/report.html").read_text()


def test_the_task_is_found_in_options_and_configurations(tmp_path: Path) -> None:
    assert trains_multilabel(["--data.task=multilabel"])
    assert trains_multilabel(["--config", str(CONFIGS / "crnn.yaml"), "--config", str(CONFIGS / "data/large.yaml")])
    assert not trains_multilabel(["--config", str(CONFIGS / "crnn.yaml"), "--data.task=multiclass"])


def test_there_is_no_baseline(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    commands: list[str] = []
    monkeypatch.setattr(train, "_run_command", lambda *words: commands.append(words[0]) or "")
    configs = json.dumps([str(CONFIGS / "crnn.yaml")])
    with pytest.raises(SystemExit, match="no run to report on"):
        run("compare", "--configs", configs, "--seeds=[0]", "--options", "[--data.task=multilabel]", "--output=out")
    assert "The baseline is for the multiclass task" in capsys.readouterr().err
    assert commands == ["fit", "test"]
