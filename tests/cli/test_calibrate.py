"""`lit-genre test --calibrate` fits a temperature, and every later use of the checkpoint has it."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from lit_genre import load_model
from tests.helpers.runs import QUIET, Run


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy of a tested run, as the calibration changes the checkpoint."""
    copy = tmp_path / "copy"
    shutil.copytree(trained.parents[1], copy)
    return copy / "checkpoints" / "best.ckpt"


def probabilities(folder: Path) -> torch.Tensor:
    with (folder / "test.csv").open(newline="") as file:
        return torch.tensor([[float(value) for value in row[4:]] for row in list(csv.reader(file))[1:]])


def test_the_temperature_is_stored_and_used(
    run: Run, checkpoint: Path, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint.parents[1]
    before, weights = probabilities(folder), load_model(checkpoint).state_dict()
    run("test", f"--ckpt_path={checkpoint}", "--calibrate", QUIET)
    output = capsys.readouterr()
    model = load_model(checkpoint)
    assert f"Temperature {model.temperature:.3f}" in output.err
    assert "Calibration error" in output.out
    assert model.temperature != pytest.approx(1, abs=1e-3)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    # A track of 2 s has two clips of 1 s, and the mean of probabilities is not the probability of a mean.
    calibrated = probabilities(folder)
    assert not torch.allclose(calibrated, before, atol=1e-3)
    run("test", f"--ckpt_path={checkpoint}", QUIET)
    assert torch.allclose(probabilities(folder), calibrated, atol=1e-6)
    # The temperature does not depend on the one before.
    first = model.temperature
    run("test", f"--ckpt_path={checkpoint}", "--calibrate", QUIET)
    assert load_model(checkpoint).temperature == pytest.approx(first, rel=1e-4)


def test_a_resumed_training_keeps_it_and_trains_as_before(run: Run, checkpoint: Path, trained: Path) -> None:
    last = checkpoint.with_name("last.ckpt")
    run("test", f"--ckpt_path={last}", "--calibrate", QUIET)
    run("fit", f"--ckpt_path={last}", "--trainer.max_epochs=3")
    plain = trained.parents[1]
    copy = checkpoint.parents[2] / "plain"
    shutil.copytree(plain, copy)
    run("fit", f"--ckpt_path={copy / 'checkpoints' / 'last.ckpt'}", "--trainer.max_epochs=3")
    calibrated, expected = load_model(last), load_model(copy / "checkpoints" / "last.ckpt")
    assert calibrated.temperature != 1
    assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in calibrated.state_dict().items())


def test_classify_and_export_take_another_temperature(run: Run, checkpoint: Path, fma: Path, tmp_path: Path) -> None:
    song = next(fma.rglob("*.mp3"))
    run("classify", song, f"--ckpt_path={checkpoint}", "--temperature=1000", "--output=out.csv")
    with Path("out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    # All genres are equally probable in the limit.
    assert float(row["Rock"]) == pytest.approx(1 / 8, 0.02)
    run("export", f"--ckpt_path={checkpoint}", "--format=hub", "--output=hub", "--temperature=2.5")
    assert load_model(tmp_path / "hub").temperature == 2.5
    with pytest.raises(SystemExit, match="must be a number above 0"):
        run("classify", song, f"--ckpt_path={checkpoint}", "--temperature=-1")


def test_data_without_a_validation_split_cannot_calibrate(
    run: Run, checkpoint: Path, fma: Path, tmp_path: Path
) -> None:
    without_val = tmp_path / "without_val"
    shutil.copytree(fma, without_val)
    tracks = without_val / "fma_metadata" / "tracks.csv"
    tracks.write_text(tracks.read_text().replace(",validation,", ",test,"))
    with pytest.raises(SystemExit, match="the data has none"):
        run("test", f"--ckpt_path={checkpoint}", "--calibrate", QUIET, f"--data.root={without_val}")
    assert load_model(checkpoint).temperature == 1
