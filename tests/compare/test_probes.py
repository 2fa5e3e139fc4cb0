"""`lit-genre compare --probes`: encoders next to networks and the baseline, each once, on the same data."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lit_genre.__main__ import main
from lit_genre.compare import train as module
from tests.helpers.runs import Run

ENCODER = """
model:
  backbone:
    class_path: CRNN
    init_args: {filters: [8, 8], lstm_dim: 8}
"""

MISSING = "model:\n  backbone:\n    class_path: NotInstalledEncoder\n"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that were run, in this process."""
    asked: list[tuple[str, ...]] = []

    def here(*words: str) -> str:
        asked.append(words)
        try:
            main(words)
        except SystemExit as error:
            return str(error)
        return ""

    monkeypatch.setattr(module, "_run_command", here)
    return asked


def test_an_encoder_is_probed_once_on_the_data_of_the_networks(
    run: Run, fma: Path, commands: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("encoder.yaml").write_text(ENCODER)
    Path("missing.yaml").write_text(MISSING)
    options = [f"--data.root={fma}", "--model.clip_seconds=1", "--trainer.max_epochs=1"]
    options += ["--trainer.logger=false", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    words = ["compare", "--configs=[cnn1d_shallow]", "--seeds=[0,1]", "--output=out", "--options", json.dumps(options)]
    words += ["--probes=[encoder.yaml, missing.yaml]", "--probe_options=[--head=knn]"]
    run(*words)
    assert [command[0] for command in commands] == ["baseline", "probe", "fit", "test", "fit", "test"]
    probe, fit = commands[1], commands[2]
    assert {"--head=knn", "--name=encoder probe", f"--data.root={fma}"} <= set(probe)
    assert not any(option.startswith("--trainer") for option in probe)
    assert not {"--head=knn", "--name=encoder probe"} & {*fit, *commands[0]}
    table = pd.read_csv("out/results.csv")
    assert sorted(table["model"].unique()) == ["MFCC+SVM", "cnn1d_shallow", "encoder probe"]
    assert table["test_accuracy"].between(0, 1).all()
    assert "Left out, as no installed package has their backbone: missing." in "".join(capsys.readouterr())
    commands.clear()
    run(*words)
    assert commands == []
    with pytest.raises(SystemExit, match="encoder-probe was made with other settings"):
        run(*words[:-1], "--probe_options=[--head=mlp]")


def test_folds_of_a_probe_may_choose_other_layers_and_are_one_model(run: Run, fma: Path) -> None:
    from lit_genre.runs.folder import RunFolder
    from lit_genre.runs.reader import read_run

    settings = []
    for fold, layers in enumerate(([1], [2])):
        folder = RunFolder(Path(f"encoder-probe-repeat0-fold{fold}"))
        folder.write_config(f"model:\n  backbone: {{class_path: CRNN}}\n  layers: {layers}\n")
        folder.write_summary({"name": "encoder probe", "asked_layers": "all"})
        settings.append(read_run(folder.path).settings)
    assert settings[0] == settings[1]
    folder.write_summary({"name": "encoder probe"})
    # Layers that the configuration names are settings.
    assert read_run(folder.path).settings != settings[0]


def test_encoders_alone_can_be_compared(run: Run, fma: Path, commands: list[tuple[str, ...]]) -> None:
    Path("encoder.yaml").write_text(ENCODER)
    options = [f"--data.root={fma}", "--model.clip_seconds=1"]
    run("compare", "--probes=[encoder.yaml]", "--options", json.dumps(options), "--output=out")
    assert [command[0] for command in commands] == ["baseline", "probe"]
    Path("missing.yaml").write_text(MISSING)
    with pytest.raises(SystemExit, match="None of the encoders is installed"):
        run("compare", "--probes=[missing.yaml]", "--output=other")


def test_all_shipped_encoders_are_meant_by_a_pattern(run: Run) -> None:
    from lit_genre.cli.parsing.configs import find_configs

    assert "musicnn.yaml" in [Path(path).name for path in find_configs("encoders/*")]
    assert find_configs("configs/encoders/*.yaml") == find_configs("encoders/*")
    assert find_configs("absent/*") == ["absent/*"]
