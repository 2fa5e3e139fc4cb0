"""Training from Python: the same run as on the command line, and no data that the model was not built for."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.cli import ReduceLROnPlateau

from lit_genre import CRNN, FMADataModule, GenreClassifier, LitGenreError, trainer
from tests.helpers.runs import QUIET, SMALL, assert_same_weights

Run = Callable[..., None]
NET = partial(CRNN, filters=[8, 8], lstm_dim=8)


def test_a_run_from_python_is_that_of_the_command_line(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=2", "--trainer.default_root_dir=cli")
    run("test", "--ckpt_path", "cli/checkpoints/best.ckpt", QUIET)
    seed_everything(0)
    data = FMADataModule(fma, clip_seconds=1)
    plateau = partial(ReduceLROnPlateau, monitor="val/accuracy", mode="max", factor=0.5, patience=10)
    model = GenreClassifier.for_data(data, NET, scheduler=plateau)
    from_python = trainer("python", max_epochs=2, accelerator="cpu", enable_progress_bar=False, logger=False)
    from_python.fit(model, data)
    from_python.test(model, data, ckpt_path="best", verbose=False)
    assert_same_weights(Path("cli/checkpoints/last.ckpt"), Path("python/checkpoints/last.ckpt"))
    left = {name: {path.name for path in Path(name).rglob("*") if path.is_file()} for name in ("cli", "python")}
    assert left["cli"] - left["python"] == {"config.yaml", ".lock"}
    assert left["python"] <= left["cli"]
    with pytest.raises(LitGenreError, match="python already contains a run"):
        trainer("python")


def test_for_data_takes_what_the_data_says(fma: Path) -> None:
    data = FMADataModule(fma, clip_seconds=2.5, sample_rate=16000)
    model = GenreClassifier.for_data(data, NET, class_weights=True)
    assert (model.sample_rate, model.clip_samples, model.classes) == (16000, 40000, data.classes)
    assert model.hparams["class_counts"] == data.class_counts
    assert model.loss_weights is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"sample_rate": 16000, "clip_seconds": 22050 / 16000}, "sample rate, Hz: 22050 in the data, but 16000"),
        ({"clip_seconds": 2}, "length of a clip, samples: 22050 in the data, but 44100 in the model"),
        ({"task": "multilabel"}, "task: multiclass in the data, but multilabel in the model"),
        ({"classes": ["Rock", "Pop", "Jazz"]}, "those of the model Rock, Pop, Jazz"),
        ({"classes": "reversed"}, "in another order, Electronic, .* and Rock, .*genres would be swapped"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "test"])
def test_data_that_the_model_was_not_built_for_is_refused(
    fma: Path, tmp_path: Path, arguments: dict[str, Any], said: str, method: str
) -> None:
    data = FMADataModule(fma, clip_seconds=1)
    if arguments.get("classes") == "reversed":
        arguments = {"classes": data.classes[::-1]}
    model = GenreClassifier(NET, **{"classes": data.classes, "clip_seconds": 1, **arguments})
    plain = Trainer(
        accelerator="cpu", logger=False, max_epochs=1, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False, default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(LitGenreError, match=said):
        getattr(plain, method)(model, data)


def test_data_that_says_nothing_of_itself_is_taken() -> None:
    model = GenreClassifier(NET, ["Rock", "Pop"], clip_seconds=1)
    model._trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model._trainer.datamodule = LightningDataModule()  # type: ignore[attr-defined]
    model.setup("test")
