"""`--pool attention`: segments of a clip are weighted by a query that is trained with the head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.layer_pooling import MIN_SEGMENTS, average_segments, pool_steps, pooled_size, segment_steps
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import FittedHead, fit_head, track_scores
from lit_genre.probe.weighted_average import fit_weighted_average
from tests.helpers.runs import QUIET, Run
from tests.probe.test_layer_choice import PROBE, model_of

DIM, SEGMENTS = 6, 8


def clips_with_one_informative_segment(several: bool) -> ClipEmbeddings:
    """Return 150 clips of noise, in which the genre is in a segment at any place, marked by a large last number."""
    random = np.random.default_rng(0)
    label = np.arange(150) % 3
    segments = random.normal(size=(150, SEGMENTS, DIM))
    segments[..., -1] = 0
    place = random.integers(SEGMENTS, size=150)
    segments[np.arange(150), place, :3] += 3 * np.eye(3)[label]
    segments[np.arange(150), place, -1] = 3
    labels = np.eye(3, dtype=np.int64)[label] if several else label
    return ClipEmbeddings(segments.reshape(150, -1).astype(np.float16), labels, np.arange(150))


def part(clips: ClipEmbeddings, rows: slice) -> ClipEmbeddings:
    return ClipEmbeddings(*(column[rows] for column in clips[:3]))


def correct(fitted: FittedHead, embedding: np.ndarray, clips: ClipEmbeddings) -> float:
    probs = torch.from_numpy(fitted.classifier.predict_proba(fitted.scaler.transform(embedding)))
    scores = track_scores(probs, clips)
    label = scores.label.argmax(1) if scores.label.ndim == 2 else scores.label
    return float((scores.probs.argmax(1) == label).float().mean())


@pytest.mark.parametrize("several", [False, True])
def test_attention_finds_the_segment_that_has_the_genre(several: bool) -> None:
    clips = clips_with_one_informative_segment(several)
    train, val, test = (part(clips, rows) for rows in (slice(90), slice(90, 120), slice(120, 150)))
    fitted = fit_weighted_average(train, val, DIM, attention=True)
    averaged = fitted.classifier.average(test.embedding)
    assert correct(fitted, averaged, test) > 0.8
    # The query asks for the mark.
    assert fitted.classifier.parameter.argmax() == DIM - 1

    def mean(split: ClipEmbeddings) -> ClipEmbeddings:
        return split._replace(embedding=split.embedding.astype(np.float32).reshape(-1, SEGMENTS, DIM).mean(1))

    plain = fit_head(mean(train), mean(val), "logistic", 0, seed=0)
    assert correct(fitted, averaged, test) > correct(plain, mean(test).embedding, test)


def test_attention_on_a_single_segment_is_the_logistic_regression_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    label = np.arange(60) % 3
    embedding = (random.normal(size=(60, 5)) + label[:, None]).astype(np.float32)
    clips = ClipEmbeddings(embedding, label, np.arange(60))
    fitted = fit_weighted_average(clips, clips, 5, attention=True)
    scaled = fitted.scaler.transform(embedding)
    expected = LogisticRegression(C=fitted.setting, max_iter=1000).fit(scaled, label).predict_proba(scaled)
    assert fitted.classifier.predict_proba(scaled) == pytest.approx(expected, abs=0.005)


def test_segments_are_means_of_neighbouring_steps() -> None:
    assert [segment_steps(number) for number in (1, 63, 64, 100, 750)] == [1, 1, 2, 3, 23]
    states = torch.randn(2, 100, 4)
    segments = average_segments(states, 3)
    assert segments.shape == (2, 33, 4)
    torch.testing.assert_close(segments[:, 5], states[:, 15:18].mean(1))
    assert pool_steps(states, "attention").shape[1] == pooled_size((100, 4), "attention") == 33 * 4
    assert all(number // segment_steps(number) >= min(number, MIN_SEGMENTS) for number in range(1, 200))


def test_a_model_starts_with_the_mean_and_weights_segments_by_its_query() -> None:
    model = model_of(layers=[1], pool="attention").eval()
    waveform = torch.randn(2, 2 * 22050)
    (states,) = model.backbone.layer_outputs(model.spectrogram(waveform), [1])
    torch.testing.assert_close(model.predict_with_embedding(waveform)[1], states.mean(1))
    pooling = model.layer_pooling
    assert pooling is not None
    assert pooling.query is not None
    torch.nn.init.normal_(pooling.query)
    weights = (states @ pooling.query).softmax(1)
    expected = (weights[..., None] * states).sum(1)
    torch.testing.assert_close(model.predict_with_embedding(waveform)[1], expected)
    model.predict_with_embedding(waveform)[0].log().sum().backward()
    assert pooling.query.grad is not None
    assert pooling.query.grad.abs().sum() > 0


def test_only_the_asked_layers_are_cached_and_the_best_is_selected(run: Run, fma: Path) -> None:
    run(*PROBE, f"--data.root={fma}", "--layers=1,3", "--pool=attention", "--output=out")
    (kept,) = Path("kept").iterdir()
    with np.load(next(kept.glob("*.npz"))) as arrays:
        # Two layers of 22 steps of eight numbers.
        assert arrays["embedding"].shape[1] == 2 * 22 * 8
    model = load_model("out/checkpoints/best.ckpt", trust=True)
    assert (model.hparams["layers"], model.hparams["pool"]) == ([1], "attention")
    assert model.layer_pooling is not None
    assert model.layer_pooling.query is not None
    assert model.layer_pooling.query.abs().sum() > 0


def test_what_attention_is_not_for_is_refused(run: Run, fma: Path) -> None:
    words = (*PROBE, f"--data.root={fma}", "--output=out", "--pool=attention")
    for options in (["--head=knn"], ["--head=mlp"], ["--layers=weighted"], ["--shots=1,2"]):
        with pytest.raises(SystemExit, match="--pool attention is trained together with one logistic head"):
            run(*words, *options)
    with pytest.raises(LitGenreError, match="pool is attention, which is for a single layer, but layers has 2"):
        model_of(layers=[0, 2], pool="attention")


def test_a_fit_learns_the_query(run: Run, fma: Path) -> None:
    options = ("--model.layers=[1]", "--model.pool=attention", "--trainer.max_epochs=1", QUIET)
    run("fit", *PROBE[1:-2], f"--data.root={fma}", *options, "--trainer.default_root_dir=out")
    model = load_model("out/checkpoints/last.ckpt", trust=True)
    assert model.layer_pooling is not None
    assert model.layer_pooling.query is not None
    assert model.layer_pooling.query.abs().sum() > 0
