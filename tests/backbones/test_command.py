"""`lit-genre backbones` lists every backbone with its size and cost, as a table or as JSON."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

import lit_genre
from lit_genre.backbones import BackboneEntry
from lit_genre.backbones import registry as plugins
from lit_genre.commands.backbones import _in_short
from tests.helpers.runs import CONFIGS, README, Run


def listed(run: Run, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, object]]:
    run("backbones", *options)
    return {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}


def test_sizes_and_costs_are_right(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    entries = listed(run, capsys, "--format=json")
    rnn = entries["RNN"]
    assert rnn["package"] == "lit-genre"
    assert rnn["version"] == lit_genre.__version__
    assert rnn["summary"] == "A plain LSTM over the frames."
    assert rnn["error"] == ""
    assert (rnn["takes"], rnn["embedding_dim"]) == ("mel", 64)
    # By hand: norm 2·128, LSTM 4·128·(128+128+2), dense 128·64+64; 646 steps of 4·128·(128+128), and the dense layer.
    assert rnn["parameters"] == 256 + 4 * 128 * 258 + 8256
    assert rnn["macs"] == 646 * 4 * 128 * 256 + 128 * 64


def test_the_table_in_readme_has_the_same_sizes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    entries = listed(run, capsys, "--format=json")
    rows = dict(re.findall(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \|", README, re.MULTILINE))
    assert len(rows) == 7
    for config, size in rows.items():
        entry = entries[yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"]["backbone"]]
        assert size == _in_short(entry["parameters"])


def test_the_table_has_a_row_for_each_backbone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("backbones")
    table = capsys.readouterr().out
    for name in ("CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN"):
        (line,) = (line for line in table.splitlines() if line.split()[:2] == [name, "lit-genre"])
        assert line.split()[-1] == "64"
    assert "Five convolution blocks over the" in table


def test_the_list_is_read_from_the_cache_and_built_anew_on_request(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("lit_genre.backbones.costs.measure_backbones", lambda: [BackboneEntry("First", "b", "1")])
    listed(run, capsys, "--format=json")
    monkeypatch.setattr("lit_genre.backbones.costs.measure_backbones", lambda: [BackboneEntry("A", "b", "1")])
    assert set(listed(run, capsys, "--format=json")) == {"First"}
    assert set(listed(run, capsys, "--format=json", "--refresh")) == {"A"}
    run("backbones", "--format=csv")
    assert capsys.readouterr().out.splitlines()[1].startswith("A,b,1,")
    # Another version of the package needs another list.
    monkeypatch.setattr("lit_genre.__version__", "9")
    monkeypatch.setattr("lit_genre.backbones.costs.measure_backbones", lambda: [])
    assert not listed(run, capsys, "--format=json")


def test_a_broken_backbone_is_a_row_with_its_error(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The patched entry points are not part of the key of the cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    points = [EntryPoint("Broken", "[no]such_module:Broken", plugins.GROUP)]
    points += [EntryPoint("Unbuildable", "tests.backbones.test_command:Unbuildable", plugins.GROUP)]
    monkeypatch.setattr("lit_genre.entry_points.entry_points", lambda group: points)
    plugins.backbones.cache_clear()
    try:
        entries = listed(run, capsys, "--format=json", "--refresh")
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
