"""`lit-genre probe --shots`: more training tracks give a higher accuracy, with the interval of the artists."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lit_genre.cluster_statistics import accuracy_interval
from lit_genre.errors import LitGenreError
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.few_shots import DRAWS, few_shot_curve
from tests.helpers.runs import SMALL, Run


def clips_of(n_tracks: int, seed: int, separation: float = 1.0) -> ClipEmbeddings:
    """Two clips for each track, of three genres that overlap."""
    random = np.random.default_rng(seed)
    label = np.arange(n_tracks) % 3
    centre = separation * np.eye(3, 8)[label] + random.normal(0, 0.7, size=(n_tracks, 8))
    embedding = np.repeat(centre, 2, axis=0) + random.normal(0, 0.1, size=(2 * n_tracks, 8))
    track_id = np.repeat(np.arange(n_tracks) + 1000 * seed, 2)
    return ClipEmbeddings(embedding.astype(np.float32), np.repeat(label, 2), track_id)


def test_accuracy_grows_with_the_number_of_tracks() -> None:
    train, test = clips_of(150, 0), clips_of(90, 1)
    artists = {track: track // 3 for track in test.track_id.tolist()}
    curve = few_shot_curve(train, test, [1, 4, 16, 400], artists, seed=0)
    assert curve["tracks"].tolist() == [3, 12, 48, 150]
    assert curve["accuracy"].is_monotonic_increasing
    assert curve["accuracy"].iloc[0] > 1 / 3
    assert curve["accuracy"].iloc[-1] > curve["accuracy"].iloc[0] + 0.1
    # All tracks, so that each draw is the same.
    assert curve["std"].iloc[-1] == 0
    assert ((curve["low"] < curve["accuracy"]) & (curve["accuracy"] < curve["high"])).all()
    correct = np.zeros(90)
    correct[: round(90 * curve["accuracy"].iloc[-1])] = 1
    # Three tracks of an artist together leave a wider interval than tracks that are independent.
    independent = accuracy_interval(correct)
    assert curve["high"].iloc[-1] - curve["low"].iloc[-1] != pytest.approx(independent.high - independent.low)


def test_draws_depend_on_the_seed_alone() -> None:
    train, test = clips_of(60, 0), clips_of(30, 1)
    artists = {track: track for track in test.track_id.tolist()}
    first, again, other = (few_shot_curve(train, test, [2], artists, seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert first["accuracy"][0] != other["accuracy"][0]


def test_what_has_no_shots_is_refused() -> None:
    train = clips_of(6, 0)
    with pytest.raises(LitGenreError, match="--shots has 0, but must be numbers of at least 1"):
        few_shot_curve(train, train, [0, 1], {}, seed=0)
    several = train._replace(label=np.eye(3, dtype=np.int64)[train.label])
    with pytest.raises(LitGenreError, match="the task is multilabel"):
        few_shot_curve(several, several, [1], {}, seed=0)


def test_a_probe_writes_the_curve(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("probe", *SMALL, "--device=cpu", "--embeddings=kept", f"--data.root={fma}", "--shots=1,2", "--output=out")
    table = pd.read_csv("out/shots.csv")
    assert table["shots"].tolist() == [1, 2]
    # Eight genres with one training track each.
    assert table["tracks"].tolist() == [8, 8]
    assert (Path("out") / "shots.png").stat().st_size > 10_000
    assert "accuracy" in "".join(capsys.readouterr())
    assert DRAWS == 10
    with pytest.raises(SystemExit):
        run("probe", *SMALL, f"--data.root={fma}", "--shots=one", "--output=again")
