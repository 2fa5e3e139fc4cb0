"""`lit-genre baseline` from end to end."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lit_genre.baseline.classifier import Kind, TrackFeatures, fit_classifier
from lit_genre.runs.reader import read_run
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA
from tests.helpers.runs import QUIET, SMALL, Run, folder

SHORTENED = 1e-5
"""How far the sum of eight probabilities with six decimals may be from 1."""


@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_class_weights_let_a_rare_genre_count_alike(kind: Kind) -> None:
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], [190, 10])
    features = (random.normal(size=(200, 2)) + label[:, None]).astype(np.float32)
    rows = TrackFeatures(features, label, np.arange(200))

    def recall_of_rare(class_weights: bool) -> float:
        fitted = fit_classifier(kind, rows, None, class_weights)
        return float((fitted.model.predict(features)[label == 1] == 1).mean())

    assert recall_of_rare(False) < 0.3
    assert recall_of_rare(True) > 0.6


def test_a_baseline_with_other_features_or_weights_has_its_own_name(
    run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("baseline", f"--data.root={fma}", "--features=mfcc+spectral", "--class_weights", "--output=out")
    name = "MFCC+spectral+SVM, class weights"
    assert f"{name}: 336 features of 8 training tracks" in " ".join("".join(capsys.readouterr()).split())
    assert read_run(Path("out")).model == name
    with pytest.raises(SystemExit, match="2"):
        run("baseline", "--features=chroma")


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_a_baseline_is_a_run_that_reports_can_read(run: Run, fma: Path, classifier: str) -> None:
    words = ("baseline", "--classifier", classifier, f"--data.root={fma}", "--model.sample_rate=16000")
    run(*words)
    first = folder()
    table = pd.read_csv(first / "test.csv", index_col="track_id")
    found = read_run(first)
    assert (len(table), table.index.is_unique) == (8, True)
    probs = table.iloc[:, 3:]
    assert probs.sum(axis=1).to_numpy() == pytest.approx(1, abs=SHORTENED)
    assert (probs.idxmax(axis=1) == table["predicted"]).all()
    assert (found.model, found.seed, found.parameters, found.is_baseline) == (
        f"MFCC+{classifier}".replace("svm", "SVM"),
        None,
        None,
        True,
    )
    assert (found.epochs, found.best_val is not None, found.error) == (1, True, "")
    assert found.test == (table["genre"] == table["predicted"]).mean()
    assert (first / "confusion.png").stat().st_size > 0

    run(*words, "--output", "again")
    assert Path("again/test.csv").read_text() == (first / "test.csv").read_text()
    with pytest.raises(SystemExit, match="again already contains a run"):
        run(*words, "--trainer.default_root_dir=again")


def test_the_options_of_a_fit_describe_the_data(run: Run, trained: Path, fma: Path) -> None:
    run(
        "baseline", *SMALL, QUIET, "--model.backbone.lstm_dim=4", f"--data.root={fma}", "--trainer.default_root_dir=one"
    )
    run("baseline", f"--ckpt_path={trained}", "--output=two")
    assert Path("one/test.csv").read_text() == Path("two/test.csv").read_text()
    assert read_run(Path("one")).test is not None


def test_without_a_val_split_c_is_fixed(run: Run, write_fma: WriteFMA, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = {number: tone(200 * (1 + number % 2), 2.0, amplitude=0.1 + 0.05 * number) for number in range(8)}
    splits = {number: "training" if number < 6 else "test" for number in sounds}
    # A genre of the test split without training tracks.
    genres = {number: ("Rock", "Folk")[number % 2] for number in sounds} | {7: "Jazz"}
    root = write_fma({number + 1: (splits[number], genres[number], sound) for number, sound in sounds.items()})
    run("baseline", f"--data.root={root}", "--output=out")
    assert "C is 2, fixed, because the val split has no tracks" in " ".join("".join(capsys.readouterr()).split())
    table = pd.read_csv("out/test.csv", index_col="track_id")
    assert (table["Jazz"] == 0).all()
    assert table.loc[7, "predicted"] == "Rock"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.task=multilabel"], "data.task is multilabel, but this command is for one genre per track"),
        (
            ["--data=lit_genre.PredictDataModule", "--data.path=."],
            "PredictDataModule has no tracks with genres and splits",
        ),
    ],
)
def test_data_without_one_genre_per_track_are_refused(run: Run, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run("baseline", *words)


def test_a_data_set_of_one_genre_is_refused(run: Run, write_fma: WriteFMA) -> None:
    root = write_fma(
        {number: (split, "Rock", tone(200 * number, 1.0)) for number, split in enumerate(("training", "test"), 1)}
    )
    with pytest.raises(SystemExit, match="All training tracks have the same genre"):
        run("baseline", f"--data.root={root}")


def test_the_error_for_an_unknown_option_suggests_a_known_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("baseline", "--model.backbone.lstm_dims=4")
    assert "Did you mean lstm_dim" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run("baseline", "--classifier=forest")
    assert "svm" in capsys.readouterr().err
