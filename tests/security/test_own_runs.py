"""Runs of this account are resumed and tested freely; those of other accounts need options or --trust."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.trust.signature import is_signed, sign
from tests.helpers.runs import QUIET, SMALL

Run = Callable[..., None]

OWN_CODE = """
from lightning.pytorch import Callback
import lit_genre

class Count(Callback):
    def __init__(self, every: int = 1) -> None:
        self.every = every

class Net(lit_genre.CRNN):
    pass
"""


@pytest.fixture
def own_code(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user's own in the working folder."""
    Path("my_callbacks.py").write_text(OWN_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_callbacks", raising=False)


@pytest.fixture
def stranger(trained: Path, tmp_path: Path) -> Path:
    """A checkpoint in a run folder that another account wrote: its signature is not this account's."""
    shutil.copytree(trained.parents[1], tmp_path / "stranger")
    config = tmp_path / "stranger" / "config.yaml"
    config.write_text(config.read_text().rpartition("# Signature")[0])
    return tmp_path / "stranger" / "checkpoints" / "best.ckpt"


def fit(run: Run, fma: Path, *words: object) -> Path:
    run("fit", *SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=1", "--trainer.default_root_dir=own", *words)
    return Path("own/checkpoints/last.ckpt")


def test_a_run_with_a_callback_of_one_s_own_resumes_with_trust(run: Run, fma: Path, own_code: None) -> None:
    Path("mine.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": "my_callbacks.Count"}]}}))
    last = fit(run, fma, "--config", "mine.yaml")
    before = Path("own/config.yaml").read_bytes()
    with pytest.raises(SystemExit, match=r"asks to import my_callbacks.Count as callbacks.*--trust"):
        run("fit", "--ckpt_path", last, "--trainer.max_epochs=2")
    assert Path("own/config.yaml").read_bytes() == before
    run("fit", "--ckpt_path", last, "--trainer.max_epochs=2", "--trust")
    assert torch.load(last, weights_only=True)["epoch"] == 1
    # A test takes no callbacks from the run.
    run("test", "--ckpt_path", last)


def test_a_network_of_one_s_own_is_tested_with_trust_or_when_it_is_named(run: Run, fma: Path, own_code: None) -> None:
    last = fit(run, fma, "--model.backbone=my_callbacks.Net")
    with pytest.raises(SystemExit, match=r"asks to import my_callbacks.Net as backbone.*--trust"):
        run("test", "--ckpt_path", last)
    run("test", "--ckpt_path", last, "--trust")
    run("test", "--ckpt_path", last, "--model.backbone=my_callbacks.Net")
    run("probe", "--ckpt_path", last, "--trust", "--device", "cpu", "--output", "probe")
    with pytest.raises(LitGenreError, match="trust=True"):
        load_model(last)
    assert type(load_model(last, trust=True).backbone).__name__ == "Net"
    with pytest.raises(LitGenreError, match="weights_only is false"):
        GenreClassifier.load_from_checkpoint(last, weights_only=False)


def test_paths_in_a_run_of_another_account_must_be_passed_or_trusted(run: Run, fma: Path, stranger: Path) -> None:
    with pytest.raises(SystemExit, match=rf"contains paths.*--data.root={fma}"):
        run("test", "--ckpt_path", stranger)
    run("test", "--ckpt_path", stranger, f"--data.root={fma}")
    run("validate", "--ckpt_path", stranger, "--trust")


def test_a_run_of_this_account_may_be_moved_and_tested(run: Run, trained: Path) -> None:
    shutil.copytree(trained.parents[1], "moved")
    run("test", "--ckpt_path", "moved/checkpoints/best.ckpt")
    run("fit", "--ckpt_path", "moved/checkpoints/last.ckpt", "--trainer.max_epochs=3")
    assert is_signed(Path("moved/config.yaml").read_text())


def test_a_signature_holds_for_the_unchanged_text_of_this_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = sign("data: {root: a}\n")
    assert yaml.safe_load(signed) == {"data": {"root": "a"}}
    assert is_signed(signed)
    assert not is_signed(signed.replace("root: a", "root: b"))
    assert not is_signed("data: {root: a}\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another_account"))
    assert not is_signed(signed)
    assert sign("data: {root: a}\n") != signed
    assert (tmp_path / "another_account" / "lit-genre" / "key").stat().st_mode & 0o077 == 0


def test_without_a_stored_key_nothing_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert sign("data: {}\n") == "data: {}\n"
