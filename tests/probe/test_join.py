"""`lit-genre probe --join`: a head on the joined embeddings of several encoders, with a checkpoint like any other."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lit_genre.backbones.joined import JoinedBackbones
from lit_genre.inference.load import load_model
from lit_genre.runs.folder import RunFolder
from tests.helpers.runs import QUIET, SMALL, Run

PROBE = ("probe", *SMALL, "--device=cpu", "--embeddings=kept")


@pytest.fixture
def other(run: Run) -> Path:
    """A configuration with a network at a higher sample rate, in the folder of the run."""
    backbone = {"class_path": "RNN", "init_args": {"lstm_dim": 4, "embedding_dim": 5}}
    frontend = {"class_path": "lit_genre.LogMel", "init_args": {"n_mels": 16}}
    model = {"backbone": backbone, "frontend": frontend, "sample_rate": 24000, "clip_seconds": 5}
    Path("other.yaml").write_text(yaml.safe_dump({"model": model}))
    return Path("other.yaml")


@pytest.fixture
def joined(run: Run, fma: Path, other: Path) -> Path:
    """The folder of a run with two encoders."""
    run(*PROBE, f"--data.root={fma}", "--join", other, "--output=out")
    return Path("out")


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join("".join(capsys.readouterr()).split())


def test_the_run_and_its_checkpoint_are_those_of_the_joined_encoders(run: Run, fma: Path, joined: Path) -> None:
    folder = RunFolder(joined)
    assert folder.read_summary()["name"] == "CRNN+RNN logistic probe"
    model = folder.read_config()["model"]
    # The length of a clip is that of --config and its options; the sample rate is the largest.
    assert (model["sample_rate"], model["clip_seconds"]) == (24000, 1.0)
    parts = model["backbone"]["init_args"]["parts"]
    assert [(part["backbone"]["class_path"].rpartition(".")[2], part["sample_rate"]) for part in parts] == [
        ("CRNN", 22050),
        ("RNN", 24000),
    ]
    assert parts[0]["backbone"]["init_args"]["lstm_dim"] == 8
    restored = load_model(folder.best)
    assert isinstance(restored.backbone, JoinedBackbones)
    assert restored.backbone.embedding_dim == 64 + 5
    before = pd.read_csv(folder.test_table, index_col="track_id")
    run("test", "--ckpt_path", folder.best, QUIET, "--trainer.accelerator=cpu")
    after = pd.read_csv(folder.test_table, index_col="track_id")
    numbers = before.select_dtypes("number").columns
    assert after[numbers].to_numpy() == pytest.approx(before[numbers].to_numpy(), abs=1e-4)
    run("classify", fma / "fma_small" / "000" / "000001.mp3", "--ckpt_path", folder.best, "--device=cpu")


def test_embeddings_are_kept_for_other_heads_and_not_for_other_parts(
    run: Run, fma: Path, joined: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = (*PROBE, f"--data.root={fma}", "--head=knn")
    run("probe", "--ckpt_path=out/checkpoints/best.ckpt", *words[len(SMALL) + 1 :], "--output=same")
    text = printed(capsys)
    assert "head on the frozen CRNN+RNN" in text
    assert "read from" in text
    # Another front-end of the second part.
    content = yaml.safe_load(other.read_text())
    content["model"]["frontend"]["init_args"]["top_db"] = 60
    Path("changed.yaml").write_text(yaml.safe_dump(content))
    run(*words, "--join", "changed.yaml", "--output=changed")
    assert "written to" in printed(capsys)
    run(*words, "--join", other, "--join", "rnn", "--output=three")
    assert "CRNN+RNN+RNN" in printed(capsys)
    widths = [np.load(next(folder.glob("*.npz")))["embedding"].shape[1] for folder in Path("kept").iterdir()]
    assert sorted(widths) == [69, 69, 133]


def test_its_configuration_trains_the_joined_network_and_resumes(run: Run, joined: Path) -> None:
    words = (QUIET, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
    run("fit", "--config", joined / "config.yaml", *words, "--trainer.max_epochs=1", "--trainer.default_root_dir=fit")
    run("fit", "--ckpt_path", "fit/checkpoints/last.ckpt", *words, "--trainer.max_epochs=2")
    assert len(pd.read_csv("fit/metrics.csv")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--join", "other.yaml", "--layers=all"], "Joined encoders have no layers to choose from"),
        (["--join", "other.yaml", "--pool=mean+std"], "Joined encoders have no layers to choose from"),
        (["--join", *["other.yaml"] * 8], "JoinedBackbones gets 9 parts"),
        (["--join", "other.yaml", "--model.layers=[1]"], r"In the options, model.layers is \[1\]"),
        (["--join", "normalized.yaml"], "In normalized.yaml, model.mean_normalized_channels is True"),
        (["--join", "nested.yaml"], "cannot be a part of JoinedBackbones"),
        (["--join", "nothing"], "--join nothing: there is no such configuration"),
        (["--join", "data/folder"], "names no model.backbone"),
        (["--join", "damaged.yaml"], "--join damaged.yaml: damaged.yaml is not YAML"),
    ],
)
def test_encoders_that_cannot_be_joined_are_refused(
    run: Run, fma: Path, other: Path, options: list[str], message: str
) -> None:
    content = yaml.safe_load(other.read_text())
    part = {"backbone": "lit_genre.RNN", "frontend": "lit_genre.LogMel", "sample_rate": 24000}
    nested = {"class_path": "JoinedBackbones", "init_args": {"parts": [part, part]}}
    for name, changes in {"normalized": {"mean_normalized_channels": True}, "nested": {"backbone": nested}}.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": content["model"] | changes}))
    Path("damaged.yaml").write_text("model: [")
    with pytest.raises(SystemExit, match=message):
        run(*PROBE, f"--data.root={fma}", *options, "--output=out")
    assert not Path("out").exists()


def test_a_checkpoint_is_not_joined(run: Run, trained: Path, other: Path) -> None:
    with pytest.raises(SystemExit, match="--join cannot be used with --ckpt_path"):
        run("probe", "--ckpt_path", trained, "--join", other, "--output=out")
