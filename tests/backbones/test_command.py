"""`lit-genre backbones` lists every backbone with its size and cost, as a table or as JSON."""

import json
import re
from importlib.metadata import EntryPoint

import pytest
import yaml

import lit_genre
from lit_genre.backbones import registry as plugins
from lit_genre.backbones.command import _in_short
from tests.helpers.runs import CONFIGS, README, Run


def listed(run: Run, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, object]]:
    run("backbones", *options)
    return {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}


def test_sizes_and_costs_are_right(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    entries = listed(run, capsys, "--json")
    rnn = entries["RNN"]
    assert rnn["package"] == "lit-genre"
    assert rnn["version"] == lit_genre.__version__
    assert rnn["summary"] == "A plain LSTM over the frames."
    assert rnn["error"] == ""
    assert (rnn["takes"], rnn["embedding_dim"]) == ("mel", 64)
    # By hand: norm 2·128, LSTM 4·128·(128+128+2), dense 128·64+64; 646 steps of 4·128·(128+128), and the dense layer.
    assert rnn["parameters"] == 256 + 4 * 128 * 258 + 8256
    assert rnn["macs"] == 646 * 4 * 128 * 256 + 128 * 64


def test_the_table_in_readme_has_the_same_sizes_and_costs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    entries = listed(run, capsys, "--json")
    rows = dict(re.findall(r"^\| `configs/(\w+)\.yaml` \| [^|]+ \| ([^|]+ \| [^|]+) \|$", README, re.MULTILINE))
    assert len(rows) == 7
    for config, row in rows.items():
        entry = entries[yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"]["backbone"]]
        assert row == f"{_in_short(entry['parameters'])} | {_in_short(entry['macs'])}"


def test_the_table_has_a_row_for_each_backbone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("backbones")
    table = capsys.readouterr().out
    for name in ("CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN"):
        (line,) = (line for line in table.splitlines() if line.split()[:2] == [name, "lit-genre"])
        assert line.split()[-1] == "64"
    assert "Five convolution blocks over the" in table


@pytest.mark.parametrize(
    ("options", "is_json"), [(["--json"], True), (["--json", "true"], True), (["--json=false"], False)]
)
def test_a_flag_needs_no_value(run: Run, capsys: pytest.CaptureFixture[str], options: list[str], is_json: bool) -> None:
    run("backbones", *options)
    assert capsys.readouterr().out.startswith("[") == is_json


def test_a_broken_backbone_is_a_row_with_its_error(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [EntryPoint("Broken", "[no]such_module:Broken", plugins.GROUP)]
    points += [EntryPoint("Unbuildable", "tests.backbones.test_command:Unbuildable", plugins.GROUP)]
    monkeypatch.setattr("lit_genre.entry_points.entry_points", lambda group: points)
    plugins.backbones.cache_clear()
    try:
        entries = listed(run, capsys, "--json")
        run("backbones")
        table = capsys.readouterr().out
    finally:
        plugins.backbones.cache_clear()
    assert "such_module" in str(entries["Broken"]["error"])
    assert entries["Broken"]["parameters"] is None
    assert entries["Unbuildable"]["error"] == "RuntimeError: no, never"
    assert "RuntimeError: no, never" in table
    assert "Broken" in table


class Unbuildable(plugins.Backbone):
    def __init__(self, input_shape: tuple[int, ...]) -> None:
        raise RuntimeError("no, never")

    def forward(self, mel: object) -> object:
        return mel
