"""Names from data, metadata, folders, configurations and checkpoints act neither on a terminal nor in a spreadsheet."""

import inspect
import re
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from lit_genre.audit.findings import report as report_findings
from lit_genre.audit.findings import write_lists
from lit_genre.audit.label_noise import read_predictions
from lit_genre.backbones import BackboneEntry
from lit_genre.backbones import registry as plugins
from lit_genre.callbacks.messages import format_summary
from lit_genre.commands.backbones import _as_table
from lit_genre.compare.command import _matching_folders
from lit_genre.console import console, progress, results
from lit_genre.data.datamodules.missing import report_missing_tracks
from lit_genre.data.metadata.exclusions import read_exclusions
from lit_genre.inference.predictor import SongPrediction
from lit_genre.inference.table import prediction_table
from lit_genre.inference.writers import CSVWriter
from lit_genre.prepare.steps import _table
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.reader import read_run
from lit_genre.runs.report import report_test
from lit_genre.runs.tables import write_predictions_table, write_test_table
from lit_genre.text import one_line, printable, spreadsheet_cell
from tests.helpers.hostile.names import (
    NAMES,
    assert_clean,
    assert_no_formula,
    assert_shown,
    cells,
    folder_name,
    scores,
    squeezed,
    tracks,
)
from tests.helpers.runs import Run

CLASSES = list(NAMES)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table breaks a line, so that what is shown can be compared."""
    for where in (console, results):
        monkeypatch.setattr(where, "_width", 1000)


@pytest.mark.parametrize("name", NAMES)
def test_the_console_shows_a_name_and_nothing_of_it_acts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.print(name, Path(name))
    console.rule(name)
    with progress(name, 1, "tracks") as advance:
        advance()
    out = "".join(capsys.readouterr())
    assert_clean(out)
    assert squeezed(printable(name)) in squeezed(out)


def test_a_test_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "exp [lr=0.1] \x1b[2J"
    report_test(scores(), CLASSES, RunFolder(folder))
    out = "".join(capsys.readouterr())
    assert_shown(out)
    assert one_line(str(folder / "test.csv")) in out
    assert len(list(folder.glob("*.png"))) == 3


def test_what_is_read_again_is_exactly_what_was_written(tmp_path: Path) -> None:
    write_test_table(scores(), CLASSES, tmp_path / "test.csv", {})
    run = read_run(tmp_path)
    assert run.predictions["genre"].tolist() == run.predictions["predicted"].tolist() == CLASSES
    assert run.test == run.f1_macro == 1
    probs = read_predictions(tmp_path / "test.csv", tracks())
    assert probs.columns.tolist() == CLASSES
    assert probs.to_numpy().argmax(1).tolist() == list(range(len(NAMES)))


@pytest.mark.parametrize("name", ["exp [lr=0.1]", "'; rm -rf ~; '", "$(reboot)"])
def test_a_command_that_is_suggested_names_the_folder(tmp_path: Path, name: str) -> None:
    best = tmp_path / name / "checkpoints" / "best.ckpt"
    best.parent.mkdir(parents=True)
    best.touch()
    line = format_summary([], None, RunFolder(tmp_path / name), []).splitlines()[-1]
    assert shlex.split(line)[1:] == ["lit-genre", "test", "--ckpt_path", str(best)]


def test_a_folder_whose_name_is_a_pattern_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "exp [lr=0.1]").mkdir()
    (tmp_path / "exp l").mkdir()
    assert _matching_folders(str(tmp_path / "exp [lr=0.1]")) == [tmp_path / "exp [lr=0.1]"]
    assert len(_matching_folders(str(tmp_path / "exp*"))) == 2


@pytest.mark.parametrize("name", ["two\nlines-seed3", "exp [lr=0.1]-seed3"])
def test_a_run_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert (read_run(tmp_path / name).model, read_run(tmp_path / name).seed) == (name.removesuffix("-seed3"), 3)


def test_what_classify_shows_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        SongPrediction(i, 1.0, row, torch.zeros(1), row[None], torch.empty(0)) for i, row in enumerate(scores().probs)
    ]
    files = [Path(folder_name(f"{name}.mp3")) for name in NAMES]
    console.print(prediction_table(list(zip(files, answers, strict=True)), CLASSES, top_k=1))
    assert_shown("".join(capsys.readouterr()))
    with CSVWriter(tmp_path / "genres.csv", CLASSES, "multiclass", segments=True, clip_seconds=1) as writer:
        for file, answer in zip(files, answers, strict=True):
            writer.write(file, answer)
    for name in ("genres.csv", "genres.segments.csv"):
        assert_no_formula(tmp_path / name)
        assert len(cells(tmp_path / name)) == 1 + len(NAMES)
    predictions = scores()._replace(track_id=torch.arange(len(NAMES)))
    write_predictions_table(predictions, files, CLASSES, False, tmp_path / "predictions.csv")
    assert_no_formula(tmp_path / "predictions.csv")
    assert [row[4] for row in cells(tmp_path / "genres.csv")] == ["genre", *map(spreadsheet_cell, NAMES)]


def test_what_an_audit_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed, index = tracks(), pd.Index(range(1, len(NAMES) + 1), name="track_id")
    none = pd.DataFrame(columns=["group", "same", "kept", "kept_split", "crosses_splits"], index=index[:0])
    found = {"undecodable": pd.DataFrame({"reason": list(NAMES)}, index), "duplicates": none}
    found["label_noise"] = pd.DataFrame({"suggested": list(NAMES), "margin": -0.5}, index)
    output = tmp_path / "exp [lr=0.1], 'x'"
    output.mkdir()
    report_findings(write_lists(found, listed, output, lambda track: track.title), len(listed), output)
    out = "".join(capsys.readouterr())
    assert_clean(out)
    assert "reason [/x]" in out
    for path in output.glob("*.csv"):
        assert_no_formula(path)
    assert read_exclusions([output / "undecodable.csv"]) == set(index)
    (word,) = (word for word in shlex.split(out.splitlines()[-1]) if word.startswith("--data.exclude="))
    assert yaml.safe_load(word.partition("=")[2]) == [str(output / "undecodable.csv")]


def test_the_catalogue_the_tracks_and_what_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    console.print(_as_table([BackboneEntry(name, name, name, name, error=name) for name in NAMES]))
    console.print(_table(tracks(), {}))
    lost = dict(enumerate(NAMES[:3], start=1))
    report_missing_tracks(tracks(), lost, lambda track: track.title, Path(NAMES[21]))
    assert_shown("".join(capsys.readouterr()))


def test_a_plugin_that_fails_with_a_hostile_text(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name, "tests.security.test_text:absent\x1b[2J", plugins.GROUP) for name in ("A", "\x1b[31m")]
    monkeypatch.setattr("lit_genre.entry_points.entry_points", lambda group: points)
    plugins.backbones.cache_clear()
    try:
        with pytest.warns(UserWarning, match="is left out") as caught:
            plugins.backbones()
    finally:
        plugins.backbones.cache_clear()
    assert len(caught) == 2
    for warning in caught:
        assert_clean(str(warning.message))


def test_an_error_is_printed_clean(run: Run) -> None:
    with pytest.raises(SystemExit, match="has no run to report on") as stopped:
        run("compare", "--report_only", "--output", "\x1b[2J\u202e")
    assert_clean(str(stopped.value))


def test_nothing_else_draws_or_reads_markup() -> None:
    package = Path(inspect.getfile(plugins)).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"rich\.markup|from_markup|[^n]Console\(", text) or path.name == "console.py", path
        assert "savefig" not in text or path.name == "figure.py", path
