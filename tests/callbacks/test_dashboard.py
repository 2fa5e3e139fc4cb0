"""What a run sends to W&B, read back from its offline file."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

from lit_genre.__main__ import main
from lit_genre.data.datamodules.audio_tracks import AudioTracks
from tests.helpers.runs import SMALL, Run, folder

BLOCK = 2**15
"""The file is a log of records in blocks of this many bytes, of LevelDB's kind."""


def records(path: Path) -> Iterator[Any]:
    """Read an offline run's file: each record is whole, or in a first, middle and last part."""
    data, place, part = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        chunk = data[place + 7 : place + 7 + length]
        if len(chunk) < length:
            return  # It is being written.
        place += 7 + length
        part = chunk if kind in (1, 2) else part + chunk
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            yield record


def key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


class Sent:
    """What the offline files of a run hold."""

    def __init__(self, run_folder: Path) -> None:
        paths = sorted(run_folder.glob("wandb/offline-*/*.wandb"))
        # W&B writes from a process of its own.
        deadline = time.monotonic() + 20
        while not all(any(r.HasField("exit") for r in records(path)) for path in paths):
            assert time.monotonic() < deadline, "W&B did not finish its file"
            time.sleep(0.1)
        self.records = [r for path in paths for r in records(path)]
        self.runs = [r.run for r in self.records if r.HasField("run")]
        self.history = {key(i).partition(".")[0] for r in self.records for i in r.history.item}
        self.summary = {key(u): u.value_json for r in self.records for u in r.summary.update}
        self.config = {u.key: u.value_json for r in self.records for u in r.config.update}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a user without an account."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sent(fma: Path, home: Path) -> Sent:
    """A run of two epochs and its test, in the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("NETRC", str(home / "no-netrc"))
        patch.setenv("HOME", str(home))
        patch.delenv("WANDB_DATA_DIR", raising=False)
        main(["fit", *map(str, SMALL), f"--data.root={fma}", "--trainer.max_epochs=2"])
        main(["test", "--ckpt_path=best", f"--data.root={fma}", "--trainer.accelerator=cpu"])
    return Sent(folder(home))


def test_every_key_is_there(sent: Sent) -> None:
    scalars = {"loss", "accuracy", "lr", "grad_norm"}
    expected = {f"train/{name}" for name in scalars}
    expected |= {"speed/epoch_seconds", "speed/data_seconds", "speed/clips_per_second"}
    expected |= {"curves/loss_table", "curves/accuracy_table"}
    for split in ("val", "test"):
        expected |= {f"{split}/{name}" for name in ("loss", "accuracy", "accuracy_clip", "f1_macro", "f1/Rock")}
        expected |= {f"{split}/confusion_table"}
    expected |= {f"test/{name}" for name in ("precision_recall_table", "reliability", "calibration_error")}
    expected |= {"test/tracks", "test/most_wrong"}
    assert expected <= sent.history
    assert {"parameters", "best_val_accuracy", "training_seconds", "epochs", "test_accuracy"} <= sent.summary.keys()


def test_a_run_is_named_grouped_and_tagged_and_its_test_is_of_the_same_run(sent: Sent, fma: Path) -> None:
    fit, test = sent.runs
    assert fit.run_id == test.run_id
    assert fit.display_name == f"CRNN {fma.name} small"
    assert fit.run_group == "CRNN"
    assert list(fit.tags) == ["CRNN", fma.name, "small"]


def test_the_whole_configuration_is_searchable(sent: Sent) -> None:
    assert {"model", "data", "trainer", "seed_everything"} <= sent.config.keys()
    assert '"lstm_dim":8' in sent.config["model"].replace(" ", "")
    assert "lit_genre.CRNN" in sent.config["model"]
    assert '"max_epochs":2' in sent.config["trainer"].replace(" ", "")


def test_no_home_folder_is_in_it(sent: Sent, home: Path) -> None:
    # Where artifacts wait for their upload is for this machine alone, and not sent.
    for original in sent.records:
        record = type(original)()
        record.CopyFrom(original)
        record.request.Clear()
        for entry in record.artifact.manifest.contents:
            entry.local_path = ""
        assert str(home) not in str(record)


def test_tracks_can_be_looked_up_and_the_most_wrong_be_heard(sent: Sent, home: Path) -> None:
    (tracks,) = folder(home).glob("wandb/offline-*/files/media/table/test/tracks_*.table.json")
    assert len(json.loads(tracks.read_text())["data"]) == 8
    # A table's sounds and pictures are in its artifact.
    files = [entry.path for r in sent.records for entry in r.artifact.manifest.contents]
    assert sum(path.endswith(".wav") for path in files) == sum(path.endswith(".png") for path in files) > 0


def test_pictures_lie_in_the_folder_whatever_the_logger(run: Run, fma: Path) -> None:
    csv_logger = "--trainer.logger=lightning.pytorch.loggers.CSVLogger"
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1", csv_logger, "--trainer.logger.save_dir=logs")
    run("test", "--ckpt_path=best", f"--data.root={fma}", "--trainer.logger=false", "--trainer.accelerator=cpu")
    assert {path.name for path in folder().glob("*.png")} == {
        "confusion.png", "curves.png", "precision_recall.png", "reliability.png",
    }  # fmt: skip
    assert not list(folder().glob("wandb"))


def test_the_model_goes_up_where_asked_for_with_what_its_labels_mean(run: Run, fma: Path) -> None:
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.logger.log_model=true")
    (artifact,) = (r.artifact for r in Sent(folder()).records if r.artifact.type == "model")
    assert [entry.path for entry in artifact.manifest.contents] == ["best.ckpt"]
    metadata = json.loads(artifact.metadata)
    assert metadata["classes"][0] == "Electronic"
    assert metadata["backbone"] == "CRNN"
    assert 0 <= metadata["best_val_accuracy"] <= 1


def test_a_resumed_run_goes_on_in_the_same_run(run: Run, fma: Path) -> None:
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1")
    run("fit", "--ckpt_path=last", "--trainer.max_epochs=2")
    first, second = Sent(folder()).runs
    assert first.run_id == second.run_id
    assert second.resume


def test_data_without_titles_is_tested_too(run: Run, fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1")
    monkeypatch.delattr(AudioTracks, "track")
    run("test", "--ckpt_path=best", "--trainer.accelerator=cpu")
    sent = Sent(folder())
    assert "test/confusion_table" in sent.history
    assert "test/tracks" not in sent.history


def test_a_disabled_run_leaves_nothing(run: Run, fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run("fit", *SMALL, f"--data.root={fma}", "--trainer.max_epochs=1")
    assert not list(folder().glob("wandb/offline-*"))
    assert (folder() / "curves.png").exists()
