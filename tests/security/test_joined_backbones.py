"""Classes and arguments in the parts of joined backbones are checked as those of a model, and nothing is imported."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_genre import GenreClassifier, LitGenreError, load_model
from lit_genre.backbones.joined import JoinedBackbones
from lit_genre.trust.arguments import check_description
from lit_genre.trust.classes import Source
from lit_genre.trust.recipe import check_recipe

PATH = Path("stranger.ckpt")
JOINED = "lit_genre.backbones.joined.JoinedBackbones"
GOOD: dict[str, Any] = {
    "backbone": {"class_path": "lit_genre.backbones.rnn.RNN", "init_args": {"lstm_dim": 4}},
    "frontend": {"class_path": "lit_genre.LogMel", "init_args": {"n_mels": 16}},
    "sample_rate": 22050,
}
CODE = "open(__file__ + '.executed', 'w').close()\nimport lit_genre\nclass Net(lit_genre.RNN): pass\n"


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a module on the path writes when it is imported."""
    module = tmp_path / "joined_canary.py"
    module.write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module.stem, raising=False)
    return Path(f"{module}.executed")


def joined(*parts: Any) -> dict[str, Any]:
    return {"class_path": JOINED, "init_args": {"parts": list(parts)}}


def with_backbone(class_path: str, **init_args: Any) -> dict[str, Any]:
    return {**GOOD, "backbone": {"class_path": class_path, "init_args": init_args}}


def with_frontend(class_path: str, **init_args: Any) -> dict[str, Any]:
    return {**GOOD, "frontend": {"class_path": class_path, "init_args": init_args}}


TRANSFORMERS = "lit_genre_transformers.TransformersBackbone"
FORBIDDEN = [
    (with_backbone("os.system", command="true"), "asks to import os.system as backbone"),
    ({**GOOD, "backbone": "os.system"}, "asks to import os.system as backbone"),
    (with_backbone("joined_canary.Net"), "asks to import joined_canary.Net as backbone"),
    (with_backbone("lit_genre.LogMel"), "asks to import lit_genre.LogMel as backbone"),
    (with_backbone("lit_genre.FMADataModule", root="."), "asks to import lit_genre.FMADataModule as backbone"),
    (with_backbone("torch.nn.Linear"), "asks to import torch.nn.Linear as backbone"),
    (with_frontend("subprocess.getoutput", cmd="true"), "asks to import subprocess.getoutput as frontend"),
    ({**GOOD, "frontend": "joined_canary.Net"}, "asks to import joined_canary.Net as frontend"),
    (with_frontend("lit_genre.demo.write.write_demo", root="x"), "asks to import .* as frontend"),
    (with_frontend("lit_genre.LogMel", engine={"class_path": "os.system"}), "engine describes a class"),
    (with_frontend("lit_genre.LogMel", engine="/etc/passwd"), "engine is '/etc/passwd'"),
    (with_backbone("lit_genre.RNN", lstm_dim={"class_path": "os.system"}), "lstm_dim describes a class"),
    (with_backbone(TRANSFORMERS, model="x", trust_remote_code=True), "trust_remote_code runs the Python files"),
    (with_backbone(TRANSFORMERS, model="/etc"), "model reads the model '/etc'"),
    (with_backbone("lit_genre_encoders.ssondo.SSondo", weights="/etc/passwd"), "weights reads the weights"),
    ({**GOOD, "callbacks": []}, "Part 2 of JoinedBackbones is backbone, callbacks"),
    ({**GOOD, "backbone": {"class_path": "lit_genre.RNN", "dict_kwargs": {}}}, "backbone must be a class path"),
    ({**GOOD, "sample_rate": 10**9}, "Part 2 of JoinedBackbones has the sample_rate 1000000000"),
    ("stranger.yaml", "Part 2 of JoinedBackbones is a str"),
    (
        {"backbone": joined(GOOD, GOOD), "frontend": "torch.nn.Identity", "sample_rate": 22050},
        "contains JoinedBackbones",
    ),
]


@pytest.mark.parametrize(("part", "message"), FORBIDDEN)
# As a strategy of a trainer, any class of lit-genre is accepted.
@pytest.mark.parametrize("role", ["backbone", "strategy"])
# The texts of a configuration of this account may be paths, but no classes.
@pytest.mark.parametrize("own", [frozenset(), frozenset(("os.system", "joined_canary.Net"))])
def test_a_file_cannot_hide_a_class_or_an_argument_in_a_part(
    part: Any, message: str, role: str, own: frozenset[str], marker: Path
) -> None:
    with pytest.raises(LitGenreError, match=message) as error:
        check_description(joined(GOOD, part), role, Source(PATH, own=own))
    assert str(PATH) in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("parts", [None, "x", {}, [GOOD], [GOOD] * 9, [GOOD, joined(GOOD, GOOD)]])
def test_other_numbers_and_kinds_of_parts_are_refused(parts: Any) -> None:
    description = {"class_path": JOINED, "init_args": {"parts": parts}}
    with pytest.raises(LitGenreError, match="stranger.ckpt is damaged"):
        check_description(description, "backbone", Source(PATH))


def test_installed_backbones_and_what_the_user_names_are_accepted() -> None:
    description = joined(GOOD, with_backbone("lit_genre.CRNN", filters=[4]))
    assert (
        check_description(description, "backbone", Source(PATH))
        == description
        == joined(*description["init_args"]["parts"])
    )
    own = joined(GOOD, with_backbone("lit_genre_encoders.ssondo.SSondo", weights="/models/mine.pt"))
    check_description(own, "backbone", Source(PATH, own=frozenset(("/models/mine.pt",))))
    named = joined(GOOD, with_backbone("my_package.Net"))
    check_description(named, "backbone", Source(PATH, named=frozenset(("my_package.Net",))))


@pytest.mark.parametrize("part", [with_backbone("joined_canary.Net"), with_frontend("joined_canary.Net")])
def test_a_checkpoint_with_a_class_of_its_own_in_a_part_needs_trust(part: Any, marker: Path, tmp_path: Path) -> None:
    model = GenreClassifier(
        partial(JoinedBackbones, parts=[GOOD, GOOD]), ["a", "b"], clip_seconds=1, frontend=nn.Identity
    )
    hyperparameters = dict(model.hparams)
    path = tmp_path / "model.ckpt"
    torch.save({"hyper_parameters": hyperparameters, "state_dict": model.state_dict()}, path)
    waveform = torch.zeros(1, 22050)
    assert torch.equal(load_model(path)(waveform), model.eval()(waveform))
    hyperparameters["backbone"]["init_args"]["parts"] = [GOOD, part]
    torch.save({"hyper_parameters": hyperparameters, "state_dict": model.state_dict()}, path)
    with pytest.raises(LitGenreError, match=r"asks to import joined_canary.Net as (back|front).*--trust"):
        load_model(path)
    assert not marker.exists()


def test_the_recipe_of_a_run_is_checked_too(marker: Path) -> None:
    assert check_recipe({"model": {"backbone": joined(GOOD, GOOD)}}, Source(PATH))
    with pytest.raises(LitGenreError, match="asks to import joined_canary.Net as backbone"):
        check_recipe({"model": {"backbone": joined(GOOD, with_backbone("joined_canary.Net"))}}, Source(PATH))
    assert not marker.exists()
