"""The command lines that W&B makes of each shipped sweep are valid."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from lit_genre.__main__ import main
from tests.helpers.runs import ROOT

SWEEPS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "configs" / "sweeps").glob("*.yaml")}


def commands(sweep: dict[str, Any]) -> Iterator[list[str]]:
    """Write a command line for the first and last of all values, and for each value of each parameter."""
    values = {name: spec.get("values") or [spec["min"], spec["max"]] for name, spec in sweep["parameters"].items()}
    points = [{name: found[0] for name, found in values.items()}, {name: found[-1] for name, found in values.items()}]
    points += [points[0] | {name: value} for name, found in values.items() for value in found]
    for point in points:
        flags = create_sweep_command_args({"args": {name: {"value": value} for name, value in point.items()}})["args"]
        # The replacements that wandb makes for its macros.
        macros = {"${env}": ["env"], "${args}": flags}
        template = create_sweep_command(list(sweep["command"]))
        yield [word for part in template for word in macros.get(part, [part])]


@pytest.mark.parametrize("name", SWEEPS)
def test_its_commands_parse(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    sweep = SWEEPS[name]
    for words in list(commands(sweep))[:6]:
        assert words[:3] == ["env", "lit-genre", "fit"]
        with pytest.raises(SystemExit, match="0"):
            main([*words[2:], "--print_config"])
        printed = yaml.safe_load(capsys.readouterr().out)
        assert printed["model"]["backbone"]["class_path"]


def test_values_reach_the_configuration(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    words = list(commands(SWEEPS["crnn"]))[1]
    with pytest.raises(SystemExit, match="0"):
        main([*words[2:], "--print_config"])
    model = yaml.safe_load(capsys.readouterr().out)["model"]
    assert model["optimizer"]["init_args"]["lr"] == 0.01
    assert model["backbone"]["init_args"]["dropout"] == 0.6
    assert model["augment"][0]["class_path"].endswith("SpecAugment")


def test_the_metric_is_logged() -> None:
    assert {sweep["metric"]["name"] for sweep in SWEEPS.values()} == {"val/accuracy"}


def test_the_grid_has_the_seven_baseline_networks() -> None:
    configs = set(SWEEPS["architectures"]["parameters"]["config"]["values"])
    assert configs == set(yaml.safe_load(Path(ROOT / "configs" / "compare.yaml").read_text())["configs"])
