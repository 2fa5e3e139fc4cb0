"""`lit-genre baseline` from end to end, and what its features are."""

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from lit_genre.baseline.classifier import Kind, Rows, choose
from lit_genre.baseline.features import N_MFCC, MFCCStatistics, statistics
from lit_genre.baseline.spectral import contrast, spectral_shape
from lit_genre.runs.reader import read_run
from tests.conftest import WriteFMA, tone
from tests.runs import QUIET, SMALL, Run, folder

STEADY = 0.05
"""Deviation over time of an MFCC of a tone, rounded to 16 bits; that of noise is above 1."""

ROUNDING = 0.1
"""What rounding to 16 bits adds to the MFCCs of quiet noise, dB."""

FLOAT32 = 0.01
"""How far decibels of a frame are apart that are computed in float32 and in float64."""

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


def test_contrast_and_centroid_are_those_of_librosa() -> None:
    rate, waveform = 22050, noise() * np.linspace(0, 1, 200 * 1024) + 0.3 * tone(440.0, 200 * 1024 / 22050)
    magnitude = np.abs(librosa.stft(waveform, n_fft=2048, hop_length=1024, pad_mode="reflect"))
    found = spectral_shape(torch.from_numpy(waveform).float(), rate, 2048, 1024)
    expected = librosa.feature.spectral_contrast(S=magnitude, sr=rate)
    assert contrast(found.peaks, found.valleys).numpy() == pytest.approx(expected, abs=FLOAT32)
    assert found.centroid.numpy() == pytest.approx(librosa.feature.spectral_centroid(S=magnitude, sr=rate), rel=1e-4)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_bands_follow_the_sample_rate_as_librosas_do(rate: int) -> None:
    waveform = torch.from_numpy(noise()).float()
    found = spectral_shape(waveform, rate, 2048, 1024)
    n_octaves = 5 if rate == 8000 else 6
    magnitude = np.abs(librosa.stft(waveform.numpy(), n_fft=2048, hop_length=1024, pad_mode="reflect"))
    expected = librosa.feature.spectral_contrast(S=magnitude, sr=rate, n_bands=n_octaves)
    assert contrast(found.peaks, found.valleys).numpy() == pytest.approx(expected, abs=FLOAT32)


def test_the_centroid_of_a_tone_is_its_frequency_and_that_of_silence_is_0() -> None:
    sound = torch.from_numpy(np.concatenate([tone(1000.0, 2.0), np.zeros(3 * 22050, np.float32)]))
    centroid = spectral_shape(sound, 22050, 2048, 1024).centroid[0]
    assert centroid[5:35].numpy() == pytest.approx(1000, abs=22050 / 2048)
    assert (centroid[50:] == 0).all()


def test_spectral_statistics_come_after_those_of_mfccs() -> None:
    both = MFCCStatistics(22050, "mfcc+spectral")([as_pcm(noise())]).reshape(7, 2 * N_MFCC + 7 + 1)
    assert np.array_equal(both[:, : 2 * N_MFCC], hear(noise()).reshape(7, -1))
    # The mean frequency of white noise is half of the highest one.
    assert both[0, -1] == pytest.approx(22050 / 4, rel=0.05)
    # Ten times as loud, the spectrum has the same shape.
    quiet = MFCCStatistics(22050, "mfcc+spectral")([as_pcm(noise() / 10)]).reshape(7, -1)
    assert quiet[0, 2 * N_MFCC :] == pytest.approx(both[0, 2 * N_MFCC :], rel=0.01)
    parts = MFCCStatistics(22050, "mfcc+spectral")(np.split(as_pcm(noise()), 4)).reshape(7, -1)
    # As above, the frames at the ends of a block are others.
    assert parts[0, 2 * N_MFCC :] == pytest.approx(both[0, 2 * N_MFCC :], rel=0.05)


@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_class_weights_let_a_rare_genre_count_alike(kind: Kind) -> None:
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], [190, 10])
    features = (random.normal(size=(200, 2)) + label[:, None]).astype(np.float32)
    rows = Rows(features, label, np.arange(200))

    def recall_of_rare(class_weights: bool) -> float:
        chosen = choose(kind, rows, None, class_weights)
        return float((chosen.model.predict(features)[label == 1] == 1).mean())

    assert recall_of_rare(False) < 0.3
    assert recall_of_rare(True) > 0.6


def test_a_baseline_of_other_features_or_weights_has_a_name_of_its_own(
    run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("baseline", f"--data.root={fma}", "--features=mfcc+spectral", "--class_weights", "--folder=out")
    name = "MFCC+spectral+SVM, class weights"
    assert f"{name}: 336 features of 8 training tracks" in " ".join(capsys.readouterr().out.split())
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
        (["--data.task=multilabel"], "data.task is multilabel, but this is trained and rated on one genre a track"),
        (
            ["--data=lit_genre.PredictDataModule", "--data.path=."],
            "PredictDataModule has no tracks with genres and splits",
        ),
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
