"""`lit-genre baseline` from end to end, and what its features are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from lit_genre.baseline.features import N_MFCC, MFCCStatistics, statistics
from lit_genre.report.runs import read_run
from tests.conftest import WriteFMA, tone
from tests.runs import QUIET, SMALL, Run, folder

STEADY = 0.05
"""Deviation over time of an MFCC of a tone, rounded to 16 bits; that of noise is above 1."""

ROUNDING = 0.1
"""What rounding to 16 bits adds to the MFCCs of quiet noise, dB."""

SHORTENED = 1e-5
"""What eight probabilities of six decimals may be beside 1."""


def as_pcm(waveform: NDArray[np.float64]) -> NDArray[np.int16]:
    return (waveform * 32767).round().astype(np.int16)


def noise() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(scale=0.1, size=200 * 1024)


def hear(waveform: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give the statistics, of MFCCs and deltas, shape (7, 2, 20)."""
    return MFCCStatistics(22050)([as_pcm(waveform)]).reshape(7, 2, N_MFCC)


def test_statistics_are_those_of_the_definition() -> None:
    course = torch.tensor([[0.0, 0.0, 0.0, 4.0], [2.0, 2.0, 2.0, 2.0]])
    mean, deviation, skewness, kurtosis, median, least, greatest = statistics(course).reshape(7, 2).tolist()
    # Of a Bernoulli variable with p = 1/4: (1 - 2 p) / sqrt(p q), and (1 - 6 p q) / (p q).
    assert (mean[0], deviation[0]) == pytest.approx((1, 3**0.5))
    assert (skewness[0], kurtosis[0]) == pytest.approx((0.5 / (3 / 16) ** 0.5, (1 - 18 / 16) / (3 / 16)))
    assert (median[0], least[0], greatest[0]) == (0, 0, 4)
    # What stays the same has no shape, and divides nothing by zero.
    assert [mean[1], deviation[1], skewness[1], median[1], least[1], greatest[1]] == [2, 0, 0, 2, 2, 2]


def test_a_tone_stays_the_same_over_time_and_noise_does_not() -> None:
    # Whole periods in a hop; a cosine goes on beyond both ends as if mirrored there, as the transform has it.
    samples = np.arange(100 * 1024 + 1)
    steady = hear(0.5 * np.cos(2 * np.pi * 10 * samples / 1024))
    assert steady[1].max() < STEADY
    assert np.abs(steady[4] - steady[0]).max() < STEADY
    assert hear(noise())[1, 0].min() > 1


def test_loudness_moves_the_first_mfcc_by_its_decibels_and_nothing_else() -> None:
    loud, quiet = hear(noise()), hear(noise() / 10)
    moved = np.zeros_like(loud)
    # 20 dB in each of 128 bands, by an orthonormal cosine transform.
    moved[[0, 4, 5, 6], 0, 0] = 20 * 128**0.5
    assert loud - quiet == pytest.approx(moved, abs=ROUNDING)


def test_a_track_is_heard_whole_in_blocks_however_short_it_is() -> None:
    statistics_of = MFCCStatistics(22050)
    pcm = as_pcm(noise())
    blocks = statistics_of(np.split(pcm, 4)).reshape(7, 2, N_MFCC)
    # The frames at the ends of a block hear it mirrored.
    assert blocks[0, 0] == pytest.approx(hear(noise())[0, 0], abs=0.5)
    assert np.isfinite(statistics_of([pcm[:100]])).all()


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_a_baseline_is_a_run_that_reports_can_read(run: Run, fma: Path, classifier: str) -> None:
    words = ("baseline", "--classifier", classifier, f"--data.root={fma}", "--model.sample_rate=16000")
    run(*words)
    first = folder()
    table = pd.read_csv(first / "test.csv", index_col="track_id")
    found = read_run(first)
    assert (len(table), table.index.is_unique) == (8, True)
    probs = table.iloc[:, 2:]
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

    run(*words, "--folder", "again")
    assert Path("again/test.csv").read_text() == (first / "test.csv").read_text()
    with pytest.raises(SystemExit, match="again holds a run already"):
        run(*words, "--trainer.default_root_dir=again")


def test_the_words_of_a_fit_name_the_data(run: Run, trained: Path, fma: Path) -> None:
    run(
        "baseline", *SMALL, QUIET, "--model.backbone.lstm_dim=4", f"--data.root={fma}", "--trainer.default_root_dir=one"
    )
    run("baseline", f"--ckpt_path={trained}", "--folder=two")
    assert Path("one/test.csv").read_text() == Path("two/test.csv").read_text()
    assert read_run(Path("one")).test is not None


def test_without_a_val_split_nothing_is_chosen(
    run: Run, write_fma: WriteFMA, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = {place: tone(200 * (1 + place % 2), 2.0, amplitude=0.1 + 0.05 * place) for place in range(8)}
    split_of = {place: "training" if place < 6 else "test" for place in sounds}
    # A genre of the test that training has not heard of.
    genre_of = {place: ("Rock", "Folk")[place % 2] for place in sounds} | {7: "Jazz"}
    root = write_fma({place + 1: (split_of[place], genre_of[place], sound) for place, sound in sounds.items()})
    run("baseline", f"--data.root={root}", "--folder=out")
    assert "C is 2, fixed, for no track is in the val split" in " ".join(capsys.readouterr().out.split())
    table = pd.read_csv("out/test.csv", index_col="track_id")
    assert (table["Jazz"] == 0).all()
    assert table.loc[7, "predicted"] == "Rock"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.task=multi"], "data.task is multi, but this is trained and rated on one genre a track"),
        (["--data=lit_genre.AudioFolder", "--data.path=."], "AudioFolder has no tracks with genres and splits"),
    ],
)
def test_what_has_no_one_genre_is_refused(run: Run, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run("baseline", *words)


def test_one_genre_is_none_to_tell_from_another(run: Run, write_fma: WriteFMA) -> None:
    root = write_fma(
        {number: (split, "Rock", tone(200 * number, 1.0)) for number, split in enumerate(("training", "test"), 1)}
    )
    with pytest.raises(SystemExit, match="All training tracks have the same genre"):
        run("baseline", f"--data.root={root}")


def test_an_unknown_option_is_answered_by_what_there_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("baseline", "--model.backbone.lstm_dims=4")
    assert "Did you mean lstm_dim" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run("baseline", "--classifier=forest")
    assert "svm" in capsys.readouterr().err
