"""What a run sends to TensorBoard, MLflow and CSV files, read back by their own packages."""

import csv
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.loggers import Logger, MLFlowLogger
from lightning_utilities.core.imports import RequirementCache
from matplotlib.image import imread
from numpy.testing import assert_allclose

from lit_genre.callbacks.other_loggers import Results, metric_name, mlflow_refusal, prepare_loggers, send_results
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA
from tests.helpers.runs import SMALL, Run, folder

PICTURES = {"confusion", "precision_recall", "reliability"}


def tensorboard_of(path: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(path), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()


def pixels(events: Any, tag: str) -> Any:
    return imread(BytesIO(events.Images(tag)[-1].encoded_image_string), format="png")[..., :3]


@pytest.fixture
def mlflow_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow keeps runs in files only where that is asked for; a database needs more packages."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def test_tensorboard_shows_the_pictures_and_the_most_wrong_tracks(run: Run, fma: Path) -> None:
    logger = "--trainer.logger=TensorBoardLogger"
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1", logger)
    run("test", "--ckpt_path=best", f"--data.root={fma}", "--trainer.accelerator=cpu", logger)
    fit, test = (tensorboard_of(folder() / f"version_{number}") for number in (0, 1))
    assert fit.Tags()["images"] == ["curves"]
    assert {"train/loss", "val/accuracy", "best_val_accuracy", "training_seconds"} <= set(fit.Tags()["scalars"])
    assert set(test.Tags()["images"]) == {f"test/{name}" for name in PICTURES}
    for name in PICTURES:
        drawn = imread(folder() / f"{name}.png")[..., :3]
        assert_allclose(pixels(test, f"test/{name}"), drawn, atol=1 / 255)
    assert {"test/accuracy", "test/f1_macro", "test/calibration_error"} <= set(test.Tags()["scalars"])
    (text,) = test.Tensors("test/most_wrong/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert lines[0] == "| track_id | title | artist | genre | predicted | probability |"
    with (folder() / "test.csv").open(newline="") as file:
        wrong = [row["track_id"] for row in csv.DictReader(file) if row["genre"] != row["predicted"]]
    assert sorted(line.split("|")[1].strip() for line in lines[2:]) == sorted(wrong)
    config = yaml.safe_load((folder() / "version_0" / "hparams.yaml").read_text())
    assert config["model"]["backbone"]["init_args"]["lstm_dim"] == 8


def test_tensorboard_shows_the_picture_of_several_genres(run: Run, fma: Path) -> None:
    logger = "--trainer.logger=TensorBoardLogger"
    run("fit", *SMALL, f"--data.root={fma}", "--data.task=multilabel", "--trainer.max_epochs=1", logger)
    run("test", "--ckpt_path=best", "--trainer.accelerator=cpu", logger)
    events = tensorboard_of(folder() / "version_1")
    assert events.Tags()["images"] == ["test/average_precision"]
    assert "test/average_precision_macro" in events.Tags()["scalars"]


@pytest.fixture
def scripts(write_fma: WriteFMA) -> Path:
    """Two genres whose names MLflow refuses as they are."""
    splits = ("training", "training", "validation", "test")
    names = {number: ("日本", "R&B")[number % 2] for number in range(1, 9)}
    sounds = {number: tone((110, 3520)[number % 2] * (1 + number / 400), 2.0) for number in names}
    return write_fma({number: (splits[(number - 1) // 2], names[number], sounds[number]) for number in names})


@pytest.mark.usefixtures("mlflow_files")
def test_mlflow_has_the_files_of_a_run_and_its_best_checkpoint(
    run: Run, scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("HOME", str(tmp_path))
    options = ("--trainer.logger=MLFlowLogger", "--trainer.logger.tracking_uri=file:tracked")
    uploads = "--trainer.logger.log_model=true"
    run("fit", *SMALL, f"--data.root={scripts}", "--trainer.max_epochs=2", *options, uploads, "--select_by=val/loss")
    client = MlflowClient("file:tracked")
    (experiment,) = client.search_experiments(filter_string="name = 'lightning_logs'")

    def artifacts(where: str | None = None) -> dict[str, Path]:
        (kept,) = client.search_runs([experiment.experiment_id])
        paths = [item.path for item in client.list_artifacts(kept.info.run_id, where) if not item.is_dir]
        return {path: Path(kept.info.artifact_uri.removeprefix("file://")) / path for path in paths}

    (first,) = client.search_runs([experiment.experiment_id])
    assert artifacts().keys() == {"config.yaml", "curves.png", "metrics.csv", "summary.json"}
    for name in ("curves.png", "metrics.csv"):
        assert artifacts()[name].read_bytes() == (folder() / name).read_bytes()
    config = artifacts()["config.yaml"].read_text()
    assert yaml.safe_load(config)["data"]["init_args"]["root"] == f"~/{scripts.name}"
    best = artifacts("best")["best/best.ckpt"]
    assert best.read_bytes() == (folder() / "checkpoints" / "best.ckpt").read_bytes()
    assert first.data.params["model/backbone/init_args/lstm_dim"] == "8"
    assert {"val/f1/_65E5__672C_", "val/f1/R_0026_B", "best_val_accuracy"} <= first.data.metrics.keys()

    # A test, and a training that continues, in the same run of MLflow.
    same_run = f"--trainer.logger.run_id={first.info.run_id}"
    run("test", "--ckpt_path=best", "--trainer.accelerator=cpu", *options, same_run)
    assert artifacts().keys() >= {"test.csv", *(f"{name}.png" for name in PICTURES)}
    assert artifacts()["test.csv"].read_bytes() == (folder() / "test.csv").read_bytes()
    run("test", "--ckpt_path=last", "--trainer.accelerator=cpu", *options, same_run)
    (elsewhere,) = (folder() / "tests").iterdir()
    assert f"tests/{elsewhere.name}/test.csv" in artifacts(f"tests/{elsewhere.name}")
    capsys.readouterr()
    run("fit", "--ckpt_path=last", "--trainer.max_epochs=3", same_run)
    assert "MLflow did not take the configuration" in " ".join("".join(capsys.readouterr()).split())
    (resumed,) = client.search_runs([experiment.experiment_id])
    assert resumed.data.metrics["epochs"] == 3
    assert artifacts()["metrics.csv"].read_bytes() == (folder() / "metrics.csv").read_bytes()


@pytest.mark.usefixtures("mlflow_files")
def test_mlflow_takes_any_name_and_a_failed_upload_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = MLFlowLogger(tracking_uri=f"file:{tmp_path / 'tracked'}")
    trainer: Any = SimpleNamespace(
        loggers=[logger], default_root_dir=str(tmp_path), is_global_zero=True, fast_dev_run=False, global_step=3
    )
    prepare_loggers(trainer)
    names = ["日本", "日", "", ".", "..", "a//b", "../x", "Old-Time / Historic", "x" * 300, "a\nb"]
    logger.log_metrics(metrics={f"val/f1/{name}": 0.5 for name in names}, step=1)
    kept = logger.experiment.get_run(logger.run_id).data.metrics
    assert len(kept) == len(names)
    (tmp_path / "curves.png").write_bytes(b"a picture")

    def refuse(*args: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(logger.experiment, "log_artifact", refuse)
    send_results(trainer, Results({"epochs": 2}, {"curves": tmp_path / "curves.png"}))
    assert "the disk is full" in "".join(capsys.readouterr())


def test_a_name_of_a_metric_stays_as_it_is_where_mlflow_takes_it() -> None:
    for name in ("val/f1/Hip-Hop", "train/loss", "epochs", "val/f1/Easy Listening"):
        assert metric_name(name) == name


def test_csv_files_lose_nothing(run: Run, fma: Path) -> None:
    logger = "--trainer.logger=CSVLogger"
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1", logger)
    run("test", "--ckpt_path=best", "--trainer.accelerator=cpu", logger)
    written = [(folder() / f"version_{number}" / "metrics.csv").read_text() for number in (0, 1)]
    assert "val/accuracy" in written[0]
    assert "best_val_accuracy" in written[0]
    assert "test/calibration_error" in written[1]
    config = yaml.safe_load((folder() / "version_0" / "hparams.yaml").read_text())
    assert config["model"]["backbone"]["init_args"]["lstm_dim"] == 8


@pytest.mark.parametrize(("name", "package"), [("TensorBoardLogger", "tensorboard"), ("MLFlowLogger", "mlflow")])
def test_a_logger_without_its_package_is_named(
    run: Run, fma: Path, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("fabric.loggers.tensorboard._TENSORBOARD", "fabric.loggers.tensorboard._TENSORBOARDX"):
        monkeypatch.setattr(f"lightning.{place}_AVAILABLE", False)
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", RequirementCache("mlflow<0"))
    with pytest.raises(SystemExit, match=f"{package}.* Install the missing package"):
        run("fit", *SMALL, f"--data.root={fma}", f"--trainer.logger={name}")


def test_the_settings_that_mlflow_refuses_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--logger", type=Logger | Iterable[Logger] | bool | None)
    init_args = {"save_dir": str(tmp_path)}
    described = {"logger": {"class_path": "lightning.pytorch.loggers.MLFlowLogger", "init_args": init_args}}
    with pytest.raises(ValueError, match="Union subtypes") as error:
        parser.instantiate(parser.parse_object(described))
    refusal = mlflow_refusal(error.value)
    assert refusal is not None
    assert refusal.startswith("MLflow refuses the settings of trainer.logger. ")
    assert "sqlite:///mlflow.db" in refusal
    assert mlflow_refusal(ValueError("of another kind")) is None
