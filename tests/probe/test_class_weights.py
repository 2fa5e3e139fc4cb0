"""`lit-genre probe --model.class_weights=true`: rare genres have the same total weight as frequent ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lit_genre.errors import LitGenreError
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import fit_head
from lit_genre.probe.neighbors import fit_neighbors
from lit_genre.probe.weighted_average import fit_weighted_average
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA
from tests.helpers.runs import SMALL, Run

OPTIMISED = 1e-3
"""How far two optimisers may stop from the same minimum."""


def few_and_many(several: bool = False) -> ClipEmbeddings:
    """Return 60 tracks of one clip, 50 of them of the first genre, which overlaps with the second."""
    random = np.random.default_rng(0)
    label = np.repeat([0, 1], [50, 10])
    embedding = (random.standard_normal((60, 4)) + label[:, None]).astype(np.float32)
    labels = np.column_stack([label == 0, label == 1]).astype(np.int64) if several else label
    return ClipEmbeddings(embedding, labels, np.arange(60))


def test_logistic_regression_is_balanced_as_in_scikit_learn() -> None:
    clips = few_and_many()
    # The same numbers as GenreClassifier's: tracks / (genres * tracks of the genre).
    fitted = fit_head(clips._replace(class_weights=np.array([60 / 100, 60 / 20])), clips, "logistic", 0, seed=0)
    scaled = StandardScaler().fit_transform(clips.embedding)
    expected = LogisticRegression(C=fitted.setting, class_weight="balanced").fit(scaled, clips.label)
    assert fitted.classifier.coef_ == pytest.approx(expected.coef_, abs=OPTIMISED)
    plain = LogisticRegression(C=fitted.setting).fit(scaled, clips.label)
    assert expected.predict(scaled).sum() > plain.predict(scaled).sum()


def test_the_presence_of_a_genre_is_weighted_in_the_multilabel_task() -> None:
    clips = few_and_many(several=True)
    fitted = fit_head(clips._replace(class_weights=np.array([1.0, 5.0])), clips, "logistic", 0, seed=0)
    scaled = StandardScaler().fit_transform(clips.embedding)
    for genre, weights in enumerate([{0: 1, 1: 1}, {0: 1, 1: 5}]):
        expected = LogisticRegression(C=fitted.setting, class_weight=weights).fit(scaled, clips.label[:, genre])
        assert fitted.classifier.coef_[genre] == pytest.approx(expected.coef_[0], abs=OPTIMISED)


@pytest.mark.parametrize("several", [False, True])
def test_weighted_layers_weight_the_classes_too(several: bool) -> None:
    clips = few_and_many(several)._replace(class_weights=np.array([0.6, 3.0] if several else [0.6, 3.0, 2.0]))
    if not several:
        # With two classes scikit-learn has one row of weights, and so half the penalty.
        clips.label[::6] = 2
    one_layer = fit_weighted_average(clips, None, 4)
    expected = fit_head(clips, None, "logistic", 0, seed=0)
    probs = [head.classifier.predict_proba(head.scaler.transform(clips.embedding)) for head in (one_layer, expected)]
    assert probs[0] == pytest.approx(probs[1], abs=OPTIMISED)


@pytest.mark.parametrize("several", [False, True])
def test_votes_of_neighbours_are_weighted(several: bool) -> None:
    clips = few_and_many(several)
    plain = fit_neighbors(clips, None, 2).score(clips, "train").probs.numpy()
    weighted = fit_neighbors(clips._replace(class_weights=np.array([1.0, 5.0])), None, 2)
    probs = weighted.score(clips, "train").probs.numpy()
    # The odds of the rare genre against the other, or against its absence, are five times as high.
    assert probs[:, 1] == pytest.approx(5 * plain[:, 1] / (5 * plain[:, 1] + plain[:, 0]), abs=1e-6)
    if not several:
        assert probs.sum(1) == pytest.approx(1, abs=1e-6)


def test_a_perceptron_of_several_genres_has_no_class_weights() -> None:
    clips = few_and_many(several=True)._replace(class_weights=np.array([1.0, 5.0]))
    with pytest.raises(LitGenreError, match=r"class_weights is not for --head mlp.*Use --head logistic"):
        fit_head(clips, None, "mlp", 4, seed=0)


def test_the_option_of_fit_weights_a_probe(run: Run, write_fma: WriteFMA) -> None:
    # One training track of Rock, three of Folk, of the same tone.
    splits = ("training", "training", "training", "training", "test", "test")
    genres = ("Folk", "Folk", "Folk", "Rock", "Folk", "Rock")
    sound = tone(440.0, 1.0)
    root = write_fma({n: (split, genre, sound) for n, (split, genre) in enumerate(zip(splits, genres, strict=True), 1)})
    options = ("probe", *SMALL, "--device=cpu", f"--data.root={root}", "--embeddings=kept")
    run(*options, "--output=plain")
    run(*options, "--model.class_weights=true", "--output=weighted")
    plain, weighted = (pd.read_csv(f"{name}/test.csv")["Rock"].mean() for name in ("plain", "weighted"))
    assert plain == pytest.approx(1 / 4, abs=0.1)
    assert weighted == pytest.approx(1 / 2, abs=0.1)
