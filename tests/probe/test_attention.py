"""`--pool attention`: segments of a clip are weighted by a query that is trained with the head."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.backbone import InputShape
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import MIN_SEGMENTS, average_segments, pool_steps, pooled_size, segment_steps
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.head import REGULARIZATIONS, FittedHead, fit_head, logistic_weights, track_scores
from lit_genre.probe.layer_choice import choose_layers, layers_to_try
from lit_genre.probe.to_torch import write_head
from lit_genre.probe.weighted_average import fit_weighted_average
from tests.helpers.runs import QUIET, Run
from tests.probe.test_layer_choice import PROBE, Layered, model_of

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


def test_query_and_head_minimise_the_penalised_loss() -> None:
    clips = clips_with_one_informative_segment(several=False)
    # Numbers of other sizes and means, tracks of one to three clips, and a rare class.
    embedding = clips.embedding.reshape(150, SEGMENTS, DIM) * np.array([0.1, 1, 5, 20, 1, 0.3]) + 2
    tracks = np.repeat(np.arange(75), np.tile([1, 2, 3], 25))
    clips = ClipEmbeddings(embedding.reshape(150, -1), clips.label, tracks, np.array([1.0, 1.0, 3.0]))
    fitted = fit_weighted_average(clips, None, DIM, attention=True)
    segments = embedding.reshape(-1, DIM)
    assert fitted.scaler.mean_ == pytest.approx(segments.mean(0), rel=1e-4)
    assert fitted.scaler.scale_ == pytest.approx(segments.std(0), rel=1e-4)
    query = (fitted.classifier.parameter.double().numpy() * fitted.scaler.scale_, fitted.classifier.coef_)
    unknown = [torch.tensor(value, requires_grad=True) for value in (*query, fitted.classifier.intercept_)]
    scaled = torch.from_numpy((embedding - segments.mean(0)) / segments.std(0))
    attended = torch.einsum("ns,nsd->nd", (scaled @ unknown[0]).softmax(1), scaled)
    losses = torch.nn.functional.cross_entropy(
        attended @ unknown[1].T + unknown[2], torch.from_numpy(clips.label), reduction="none"
    )
    loss = fitted.setting * (losses * torch.from_numpy(logistic_weights(clips, None))).sum()
    penalised = loss + sum(values.square().sum() for values in unknown[:2]) / 2
    gradients = torch.autograd.grad(penalised, unknown)
    assert max(gradient.abs().max() for gradient in gradients) < 0.01 * max(
        values.abs().max() for values in unknown[:2]
    )


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


def test_a_clip_shorter_than_a_segment_is_one_segment() -> None:
    states = torch.randn(2, 5, 4)
    torch.testing.assert_close(average_segments(states, 20), states.mean(1, keepdim=True))
    # Training clips of 20 s have 431 frames, so 13 are a segment; 0.2 s have 5.
    model = GenreClassifier(Layered, ["Folk", "Rock"], clip_seconds=20, layers=[1], pool="attention").eval()
    assert model.predict_with_embedding(torch.randn(1, 4410))[1].shape == (1, 8)


@pytest.mark.parametrize(("task", "n_classes"), [("multiclass", 2), ("multiclass", 4), ("multilabel", 3)])
def test_the_written_model_predicts_as_the_head_that_was_trained(
    task: str, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    # A smaller C may be as good on so few tracks, with a query of almost 0.
    monkeypatch.setitem(REGULARIZATIONS, "logistic", (10.0,))
    classes = ["Folk", "Jazz", "Pop", "Rock"][:n_classes]
    model = GenreClassifier(Layered, classes, task=task, clip_seconds=2).eval()  # type: ignore[arg-type]
    # 87 frames, so two are a segment; of four genres, the last has no tracks.
    label = np.arange(30) % min(n_classes, 3)
    # Noise, and a tone of the genre in one of ten parts, so that segments differ.
    waveform = torch.randn(30, 10, 4410) / 100
    pitch = torch.tensor([220.0, 880.0, 3520.0])[torch.from_numpy(label)]
    waveform[torch.arange(30), torch.randint(10, (30,))] += torch.sin(
        2 * torch.pi * pitch[:, None] * torch.arange(4410) / 22050
    )
    waveform = waveform.flatten(1)
    with torch.no_grad():
        (segments,) = model.embed_layers(waveform, "attention", [2])
    labels = np.eye(n_classes, dtype=np.int64)[label] if task == "multilabel" else label
    clips = ClipEmbeddings(segments.numpy(), labels, np.arange(30))
    choice = choose_layers(fit_head, {"train": clips, "val": clips}, [2], "attention", model)
    expected = np.zeros((30, n_classes))
    scaled = choice.fitted.scaler.transform(choice.clips["val"].embedding)
    expected[:, choice.fitted.classifier.classes_] = choice.fitted.classifier.predict_proba(scaled)
    write_head(choice, model, "attention")
    probs = model.predict_with_embedding(waveform)[0].detach().numpy()
    assert probs == pytest.approx(expected, abs=1e-5)
    # Else a model with another query would pass.
    assert model.layer_pooling is not None
    torch.nn.init.zeros_(model.layer_pooling.query)
    assert np.abs(model.predict_with_embedding(waveform)[0].detach().numpy() - expected).max() > 1e-3


class OneStep(Layered):
    """The last layer is pooled over the whole clip, as that of MusiCNN."""

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__(input_shape)
        self.blocks[-1] = Average()


class Average(torch.nn.Module):
    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states.mean(1, keepdim=True)


def test_a_last_layer_of_one_step_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    model = GenreClassifier(OneStep, ["Folk", "Rock"], clip_seconds=1)
    assert layers_to_try(model, None, "attention") == [3]
    output = " ".join("".join(capsys.readouterr()).split())
    assert "Layer 3, the last of OneStep, has one step in a clip, so attention equals the mean" in output
    assert "--layers 2" in output
    layers_to_try(model_of(), None, "attention")
    assert "one step" not in "".join(capsys.readouterr())


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


def test_a_fit_learns_the_query_and_a_probe_of_it_keeps_the_query(run: Run, fma: Path) -> None:
    options = ("--model.layers=[1]", "--model.pool=attention", "--trainer.max_epochs=1", QUIET)
    run("fit", *PROBE[1:-2], f"--data.root={fma}", *options, "--trainer.default_root_dir=out")
    model = load_model("out/checkpoints/last.ckpt", trust=True)
    assert model.layer_pooling is not None
    assert model.layer_pooling.query is not None
    assert model.layer_pooling.query.abs().sum() > 0
    run(
        "probe",
        "--ckpt_path=out/checkpoints/last.ckpt",
        "--trust",
        "--device=cpu",
        "--embeddings=kept",
        "--output=probe",
    )
    probe = load_model("probe/checkpoints/best.ckpt", trust=True)
    assert probe.layer_pooling is not None
    assert probe.layer_pooling.query is not None
    assert torch.equal(probe.layer_pooling.query, model.layer_pooling.query)
