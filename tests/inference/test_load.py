from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lit_genre import GenreClassifier, LitGenreError, load_model

Run = Callable[..., None]


def test_load_model_equals_load_from_checkpoint(trained: Path) -> None:
    model = load_model(trained)
    expected = GenreClassifier.load_from_checkpoint(trained, map_location="cpu").eval()
    waveform = torch.rand(2, model.clip_samples, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        assert model(waveform).equal(expected(waveform))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_backbone_is_found_by_each_of_its_class_paths(trained: Path, tmp_path: Path) -> None:
    backbone = torch.load(trained, weights_only=True)["hyper_parameters"]["backbone"]
    for class_path in ("lit_genre.CRNN", "lit_genre.backbones.crnn.CRNN"):
        load_model(changed(trained, tmp_path / "named.ckpt", backbone={**backbone, "class_path": class_path}))


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"frontend": {"class_path": "lit_genre.data.ffmpeg.subprocess.call", "init_args": {"args": "true"}}},
        {"frontend": {"class_path": "lit_genre.demo.write.write_demo"}},
        {"frontend": {"class_path": "lit_genre.LogMel", "dict_kwargs": {"sr": 3}}},
        {"frontend": {"class_path": "lit_genre.LogMel", "init_args": {"engine": {"class_path": "os.getcwd"}}}},
        {"frontend": "torch.nn.Linear"},
        {"backbone": "lit_genre.CRNN"},
        {"optimizer": "os.getcwd"},
        {"augment": ["os.getcwd"]},
    ],
)
def test_hyperparameters_may_name_no_class_but_backbone_and_front_end(
    trained: Path, tmp_path: Path, hyperparameters: dict[str, object]
) -> None:
    with pytest.raises(LitGenreError, match="asks to import|more than plain data|which no checkpoint of lit-genre has"):
        load_model(changed(trained, tmp_path / "evil.ckpt", **hyperparameters))


def test_a_checkpoint_without_weights_is_refused(trained: Path, tmp_path: Path) -> None:
    content = torch.load(trained, weights_only=True)
    del content["state_dict"]
    torch.save(content, tmp_path / "empty.ckpt")
    with pytest.raises(LitGenreError, match="is not a checkpoint of lit-genre.*has no weights"):
        load_model(tmp_path / "empty.ckpt")


def changed(trained: Path, path: Path, **hyperparameters: object) -> Path:
    content = torch.load(trained, weights_only=True)
    content["hyper_parameters"].update(hyperparameters)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("part", ["backbone", "frontend"])
def test_a_checkpoint_imports_only_installed_plugins(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    code = f"open({str(tmp_path / 'was_here')!r}, 'w').close()\nclass Net: pass\n"
    (tmp_path / f"evil_{part}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    path = changed(trained, tmp_path / "evil.ckpt", **{part: {"class_path": f"evil_{part}.Net"}})
    with pytest.raises(LitGenreError, match="asks to import evil_.*Net.*--trust"):
        load_model(path)
    assert not (tmp_path / "was_here").exists()
    with pytest.raises(LitGenreError, match="cannot be restored"):
        load_model(path, trust=True)
    assert (tmp_path / "was_here").exists()


def test_lightning_s_instantiator_of_a_checkpoint_is_ignored(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil2.py").write_text(f"open({str(tmp_path / 'was_here')!r}, 'w').close()\ndef make(*_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = changed(trained, tmp_path / "evil.ckpt", _instantiator="evil2.make", _class_path="evil2.make")
    load_model(path)
    assert not (tmp_path / "was_here").exists()


def test_files_and_folders_that_are_not_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("text")
    with pytest.raises(LitGenreError, match="is not a checkpoint of lit-genre"):
        load_model(tmp_path / "text.ckpt")
    with pytest.raises(LitGenreError, match="There is no checkpoint"):
        load_model(tmp_path / "nothing.ckpt")
    with pytest.raises(LitGenreError, match="contains no config.json"):
        load_model(tmp_path)


def test_weights_that_do_not_fit_the_backbone_are_reported(trained: Path, tmp_path: Path) -> None:
    backbone = torch.load(trained, weights_only=True)["hyper_parameters"]["backbone"]
    wrong = {**backbone, "init_args": {**backbone["init_args"], "lstm_dim": 9}}
    with pytest.raises(LitGenreError, match="cannot be restored.*Is the package of its backbone installed"):
        load_model(changed(trained, tmp_path / "other.ckpt", backbone=wrong))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("mean_normalized_channels", "yes", "mean_normalized_channels is 'yes', but must be true or false"),
        ("class_weights", 1, "class_weights is 1, but must be true or false"),
        ("sample_rate", True, "sample_rate is True, but must be 100 to 1,000,000 Hz"),
        ("clip_seconds", float("inf"), "clip_seconds is inf"),
        ("head_dim", 0, "head_dim is 0"),
        ("classes", ["Rock", "Rock"], "'Rock' is twice among the classes"),
        ("task", "several", "task is 'several'"),
    ],
)
def test_damaged_arguments_of_a_model_are_named(
    trained: Path, tmp_path: Path, name: str, value: object, reason: str
) -> None:
    with pytest.raises(LitGenreError, match=reason):
        load_model(changed(trained, tmp_path / "damaged.ckpt", **{name: value}))
