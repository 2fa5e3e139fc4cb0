"""`lit-genre probe --layers`: the best layer on validation is chosen, and the checkpoint predicts as the test did."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from lit_genre import CRNN
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import load_model
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.layer_pooling import pool_steps
from lit_genre.probe.embeddings import ClipEmbeddings
from lit_genre.probe.weighted_average import fit_weighted_average
from tests.helpers.runs import QUIET, SMALL, Run

SAME = 1e-4
"""How far two ways to the same probability may be apart, in batches of other sizes and with halved precision."""


class Layered(Backbone):
    """Three layers of eight channels, of which the last is constant, so that only the others know anything."""

    def __init__(self, input_shape: InputShape) -> None:
        super().__init__()
        self.first = nn.Linear(input_shape[0], 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.blocks.append(Constant())
        self.embedding_dim = 8

    def forward(self, mel: Tensor) -> Tensor:
        states = self.first(mel.transpose(1, 2))
        for block in self.blocks:
            states = block(states)
        return states.mean(1)

    def layer_blocks(self) -> nn.ModuleList:
        return self.blocks


class Constant(nn.Module):
    def forward(self, states: Tensor) -> Tensor:
        return torch.ones_like(states)


LAYERED = f"--model.backbone={__name__}.Layered"
PROBE = ("probe", *SMALL, LAYERED, "--device=cpu", "--embeddings=kept")


def model_of(**options: object) -> GenreClassifier:
    return GenreClassifier(Layered, ["Folk", "Rock"], clip_seconds=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [[1], [0, 2], "all"])
@pytest.mark.parametrize("pool", ["mean", "mean+std"])
def test_a_model_embeds_by_the_average_of_its_layers(layers: list[int] | str, pool: str) -> None:
    model, waveform = model_of(layers=layers, pool=pool).eval(), torch.randn(2, 22050)
    states = model.backbone.layer_outputs(model.spectrogram(waveform), range(4))
    chosen = range(4) if layers == "all" else layers
    means = torch.stack([states[int(layer)] for layer in chosen])
    expected = means.mean(2)
    if pool == "mean+std":
        expected = torch.cat([expected, means.std(2, correction=0)], -1)
    torch.testing.assert_close(model.predict_with_embedding(waveform)[1], expected.mean(0), atol=1e-4, rtol=1e-4)


def test_layers_after_the_last_chosen_one_are_not_trained() -> None:
    model = model_of(layers=[1])
    frozen = {name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == {"blocks.1.weight", "blocks.1.bias"}
    assert all(parameter.requires_grad for parameter in model_of().backbone.parameters())


def test_a_constant_layer_has_a_finite_gradient() -> None:
    states = torch.ones(1, 3, 2, requires_grad=True)
    pool_steps(states, "mean+std").sum().backward()
    assert states.grad is not None
    assert states.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [4]}, r"layers is \[4\], but must be numbers of layers of Layered, 0 to 3, or all"),
        ({"layers": []}, r"layers is \[\], but must be"),
        ({"layers": [1] * 1000}, r"layers is \[1, 1, .*must have each layer of Layered once"),
        ({"pool": "max"}, r"pool is 'max', but must be mean or mean\+std"),
    ],
)
def test_layers_that_do_not_exist_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(LitGenreError, match=message):
        model_of(**options)
    with pytest.raises(LitGenreError, match="CRNN has no layers to choose from"):
        GenreClassifier(CRNN, ["Folk", "Rock"], clip_seconds=1, layers="all")


def test_the_error_of_a_long_list_of_layers_is_short() -> None:
    for layers in ([1] * 1_000_000, [9] * 1_000_000):
        with pytest.raises(LitGenreError, match=r"layers is \[") as error:
            model_of(layers=layers)
        assert len(str(error.value)) < 200


def test_the_layer_with_the_best_validation_score_is_selected(
    run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*PROBE, f"--data.root={fma}", "--layers=1,3", "--output=out")
    table = pd.read_csv("out/layers.csv", index_col="layer")
    assert table.index.tolist() == [1, 3]
    # Nothing can be known from a constant.
    assert table["val_score"].idxmax() == 1
    assert "Layer 1 is selected on the val split" in " ".join("".join(capsys.readouterr()).split())
    model = load_model("out/checkpoints/best.ckpt", trust=True)
    assert (model.hparams["layers"], model.hparams["pool"]) == ([1], "mean")


@pytest.mark.parametrize(
    "options",
    [
        ["--layers=weighted"],
        ["--layers=2", "--pool=mean+std", "--head=mlp", "--head_dim=4"],
        ["--layers=2", "--pool=attention"],
    ],
)
def test_the_checkpoint_predicts_as_the_test_did(run: Run, fma: Path, options: list[str]) -> None:
    run(*PROBE, f"--data.root={fma}", *options, "--output=out")
    before = pd.read_csv("out/test.csv", index_col="track_id")
    run("test", "--ckpt_path=out/checkpoints/best.ckpt", "--trust", QUIET, "--trainer.accelerator=cpu")
    after = pd.read_csv("out/test.csv", index_col="track_id")
    numbers = before.select_dtypes("number").columns
    # The embeddings that the head was trained on are in half precision.
    assert after[numbers].to_numpy() == pytest.approx(before[numbers].to_numpy(), abs=0.01)


def test_another_choice_of_layers_embeds_nothing_again(run: Run, fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*PROBE, f"--data.root={fma}", "--layers=all", "--output=one")
    capsys.readouterr()
    run(*PROBE, f"--data.root={fma}", "--layers=weighted", "--output=two")
    assert "read from" in " ".join("".join(capsys.readouterr()).split())
    run(*PROBE, f"--data.root={fma}", "--layers=2", "--head=knn", "--output=three")
    assert "read from" in " ".join("".join(capsys.readouterr()).split())
    (kept,) = Path("kept").iterdir()
    with np.load(next(kept.glob("*.npz"))) as arrays:
        assert (arrays["embedding"].dtype, arrays["embedding"].shape[1]) == (np.float16, 32)
    # By mean and standard deviation, the embeddings are others.
    run(*PROBE, f"--data.root={fma}", "--layers=2", "--pool=mean+std", "--output=four")
    assert len(list(Path("kept").iterdir())) == 2


def test_options_that_do_not_fit_are_refused(run: Run, fma: Path) -> None:
    words = (*PROBE, f"--data.root={fma}", "--output=out")
    with pytest.raises(SystemExit, match="--layers weighted is for --head logistic, not knn"):
        run(*words, "--layers=weighted", "--head=knn")
    with pytest.raises(SystemExit, match="0 to 3, or all"):
        run(*words, "--layers=9")
    with pytest.raises(SystemExit, match="CRNN has no layers to choose from"):
        run("probe", *SMALL, "--device=cpu", f"--data.root={fma}", "--layers=1")


@pytest.mark.parametrize("several", [False, True])
def test_weights_of_layers_prefer_the_layer_that_knows_the_genres(several: bool) -> None:
    random = np.random.default_rng(0)
    label = np.arange(120) % 3
    one_hot = np.eye(3)[label]
    layers = random.normal(size=(120, 4, 6))
    layers[:, 2, :3] += 3 * one_hot
    clips = ClipEmbeddings(
        layers.reshape(120, -1).astype(np.float16), one_hot.astype(np.int64) if several else label, np.arange(120)
    )
    train, val = (ClipEmbeddings(*(column[part] for column in clips[:3])) for part in (slice(90), slice(90, 120)))
    fitted = fit_weighted_average(train, val, 6)
    weights = fitted.classifier.parameter.softmax(0)
    assert weights.argmax() == 2
    assert weights[2] > 0.7
    probs = fitted.classifier.predict_proba(fitted.scaler.transform(fitted.classifier.average(val.embedding)))
    assert (probs.argmax(1) == label[90:]).mean() > 0.9


def test_a_single_weighted_layer_is_the_logistic_regression_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    label = np.arange(60) % 3
    embedding = (random.normal(size=(60, 5)) + label[:, None]).astype(np.float32)
    clips = ClipEmbeddings(embedding, label, np.arange(60))
    fitted = fit_weighted_average(clips, clips, 5)
    scaled = fitted.scaler.transform(embedding)
    expected = LogisticRegression(C=fitted.setting, max_iter=1000).fit(scaled, label).predict_proba(scaled)
    assert fitted.classifier.predict_proba(scaled) == pytest.approx(expected, abs=0.005)
