"""Other classes of models than GenreClassifier: subclasses of it, and any LightningModule."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lit_genre import GenreClassifier, LitGenreError, load_model
from tests.helpers.runs import CONFIGS, QUIET, SMALL

Run = Callable[..., None]

MODELS = """
import torch
from lightning.pytorch import LightningModule
from lit_genre import GenreClassifier


class Scaled(GenreClassifier):
    def __init__(self, *args, scale: float = 1.0, **options):
        super().__init__(*args, **options)
        self.scale = scale

    def forward(self, waveform):
        return self.scale * super().forward(waveform)


class Plain(LightningModule):
    def __init__(self, hidden: int = 4):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.LazyLinear(hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 8))

    def setup(self, stage):
        self.layers(torch.zeros(1, 22050))

    def _loss(self, batch):
        return torch.nn.functional.cross_entropy(self.layers(batch.waveform / 2**15), batch.label)

    def training_step(self, batch, batch_idx):
        return self._loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", -self._loss(batch), batch_size=len(batch.label))

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self._loss(batch), batch_size=len(batch.label))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture(autouse=True)
def models(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with models in the working folder."""
    Path("my_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)


def fit(run: Run, fma: Path, *words: object) -> Path:
    run("fit", *words, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.default_root_dir=own")
    return Path("own/checkpoints/last.ckpt")


@pytest.mark.parametrize("form", ["option", "class_path", "config"])
def test_a_subclass_is_trained_and_comes_back_as_what_it_is(run: Run, fma: Path, form: str) -> None:
    described = {"class_path": "my_models.Scaled", "init_args": {"scale": 3.0, "backbone": {"class_path": "CRNN"}}}
    Path("scaled.yaml").write_text(yaml.safe_dump({"model": described}))
    words = {
        "option": [*SMALL, "--model=my_models.Scaled", "--model.scale=3"],
        "class_path": [*SMALL, "--model.class_path=my_models.Scaled", "--model.init_args.scale=3"],
        "config": ["--config", "scaled.yaml", *SMALL[2:]],
    }[form]
    last = fit(run, fma, *words)
    with pytest.raises(LitGenreError, match=r"asks to import my_models.Scaled as model.*trust=True"):
        load_model(last)
    model = load_model(last, trust=True)
    assert (type(model).__name__, model.scale) == ("Scaled", 3.0)
    waveform = torch.rand(1, model.clip_samples)
    with torch.inference_mode():
        assert torch.allclose(model(waveform), 3 * GenreClassifier.forward(model, waveform))
    run("test", "--ckpt_path", last, "--trust")
    run("fit", "--ckpt_path", last, "--trust", "--trainer.max_epochs=2")
    assert torch.load(last, weights_only=True)["model_class"] == "my_models.Scaled"
    run("export", "--ckpt_path", last, "--output", "hub", "--format", "hub", "--trust")
    assert type(load_model("hub", trust=True)).__name__ == "Scaled"


def test_any_lightning_module_is_trained_and_tested_on_the_data(run: Run, fma: Path) -> None:
    last = fit(run, fma, "--model=my_models.Plain", "--model.hidden=3", "--data.clip_seconds=1")
    run("test", "--model=my_models.Plain", "--model.hidden=3", "--ckpt_path", last)
    assert (Path("own") / "metrics.csv").exists()
    with pytest.raises(SystemExit, match="is not a checkpoint of lit-genre: it has no arguments"):
        run("classify", "--ckpt_path", last, fma)


@pytest.mark.parametrize(
    ("class_path", "said"),
    [
        ("my_models.Missing", "cannot be imported"),
        ("nowhere.Model", "cannot be imported"),
        ("os.getcwd", "is not a Light"),
    ],
)
def test_what_is_no_class_of_a_model_is_refused(run: Run, fma: Path, class_path: str, said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        fit(run, fma, *SMALL, f"--model={class_path}")


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        ({"class_path": "lightning.pytorch.callbacks.LearningRateFinder"}, "learning rate finder"),
        (
            {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/nothing"}},
            "Early stopping conditioned on metric `val/nothing`",
        ),
    ],
)
def test_what_a_callback_of_lightning_lacks_is_one_message(run: Run, fma: Path, callback: object, said: str) -> None:
    Path("callback.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [callback]}}))
    with pytest.raises(SystemExit, match=said):
        fit(run, fma, *SMALL, "--config", "callback.yaml")


def test_a_logger_without_its_package_is_one_message(run: Run, fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{name}", False)
    words = ["--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=.", f"--data.root={fma}"]
    with pytest.raises(SystemExit, match=r"Neither `tensorboard` nor.*Install the missing package"):
        run("fit", "--config", CONFIGS / "crnn.yaml", *words)
