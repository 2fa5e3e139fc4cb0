"""Names from outside are shown as they are in pictures, on the page of a comparison, in Markdown and on W&B."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from lit_genre.callbacks import track_tables
from lit_genre.compare.report.difference_table import difference_rows
from lit_genre.compare.report.table_files import as_markdown
from lit_genre.compare.report.write import report as report_runs
from lit_genre.compare.scores.significance import Difference
from lit_genre.export.card import write_card
from lit_genre.loggers.wandb import wandb_logger
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.plots import scores as pictures
from lit_genre.plots.curves import SelectedEpoch, draw_curves
from lit_genre.runs.run import Run as ReportedRun
from lit_genre.runs.tables import write_test_table
from lit_genre.text import markdown, one_line, shorten, spreadsheet_cell
from tests.helpers.hostile.names import (
    NAMES,
    Markdown,
    Page,
    assert_clean,
    assert_no_formula,
    cells,
    folder_name,
    scores,
    tracks,
)
from tests.helpers.plain_net import PlainNet

CLASSES = list(NAMES)


def test_pictures_of_several_genres_a_track_and_of_the_longest_names(tmp_path: Path) -> None:
    several = TrackScores(torch.arange(len(NAMES)), torch.eye(len(NAMES)), torch.eye(len(NAMES), dtype=torch.long))
    pictures.draw_average_precision(several, CLASSES, tmp_path / "average_precision.png")
    for number, name in enumerate(("n" * 300, "演" * 300)):
        pictures.draw_confusion(scores(2), [name, f"{name}x"], "test", tmp_path / f"confusion{number}.png")
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_name_in_a_legend_is_neither_left_out_nor_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **options: drawn.append(figure))
    # Of many genres, only some have a name in the legend.
    monkeypatch.setattr(pictures, "MAX_LINES", 1000)
    pictures.draw_precision_recall(scores(), CLASSES, tmp_path / "picture.png")
    texts = drawn[0].legends[0].get_texts()
    assert [text.get_text().strip() for text in texts] == [f"{shorten(name)}, average 1.00".strip() for name in NAMES]
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("name", ["$uicide$", "日本", "n" * 300, "\x1b[2J"])
def test_the_course_of_a_run_that_was_chosen_by_a_genre(tmp_path: Path, name: str) -> None:
    rows = [{"epoch": epoch, "train/loss": 1.0, "val/loss": 1.0, "lr": 0.1} for epoch in (0.0, 1.0)]
    draw_curves(rows, tmp_path / "curves.png", SelectedEpoch(rows[1], f"greatest val f1 {name}"))
    assert (tmp_path / "curves.png").exists()


def reported(names: list[str], folder: Path) -> list[ReportedRun]:
    history = pd.DataFrame({"epoch": [0, 1], "train/accuracy": 0.5, "val/accuracy": 0.5, "train/loss": 1.0})
    return [
        ReportedRun(folder / folder_name(name), name, 0, name, 9, test=0.5, error=name, chosen_by=name, history=history)
        for name in names
    ]


def test_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_runs(reported(CLASSES, tmp_path), tmp_path / "out")
    assert_clean("".join(capsys.readouterr()))
    assert_no_formula(tmp_path / "out" / "results.csv")
    results = cells(tmp_path / "out" / "results.csv")
    assert [row[0] for row in results[1:]] == [spreadsheet_cell(name) for name in NAMES]
    page = Page(text := (tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert_clean(text)
    assert {one_line(name) for name in NAMES} <= set(page.cells)
    report_runs(reported(["CRNN"], tmp_path), tmp_path / "plain")
    plain = Page((tmp_path / "plain" / "report.html").read_text(encoding="utf-8"))
    # The only difference is which cells are long.
    assert page.tags - {("td", ("class",))} <= plain.tags
    table = Markdown((tmp_path / "out" / "table.md").read_text(encoding="utf-8"))
    assert table.kinds == {
        *(f"{part}_{end}" for part in TABLE for end in ("open", "close")),
        "inline",
        "text",
        *SENTENCE,
        *("heading_open", "heading_close"),
    }
    assert set(map(str.strip, map(one_line, NAMES))) <= set(table.texts)


TABLE = ("table", "thead", "tbody", "tr", "th", "td")
SENTENCE = ("paragraph_open", "paragraph_close")
"""Below the table of models stands what its times mean."""


def test_the_pairs_of_a_comparison() -> None:
    table = Markdown(as_markdown(difference_rows([Difference(name, name, 1, 0.5, 1.5, 9, 9, 0.01) for name in NAMES])))
    assert {kind for kind in table.kinds if not kind.startswith(TABLE)} == {"inline", "text"}
    expected = [f"{one_line(name)} over {one_line(name)}" for name in NAMES if name.strip()]
    assert [text for text in table.texts if " over " in text] == [text.strip() for text in expected]


@pytest.mark.parametrize("license", ["cc-by-nc-4.0", "x\n---\n# y", "<b>[x](y)"])
def test_a_model_card(tmp_path: Path, license: str) -> None:
    model = GenreClassifier(PlainNet, CLASSES, clip_seconds=1)
    checkpoint = tmp_path / "checkpoints" / "best.ckpt"
    config = {"class_path": "lit_genre.FMADataModule", "init_args": {"subset": "<i>*small*</i>\n# x"}}
    write_test_table(scores(), CLASSES, tmp_path / "test.csv", {})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {}, "data": config}), encoding="utf-8")
    write_card(model, tmp_path, checkpoint, license)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert_clean(text)
    _, front, body = re.split("^---$", text, maxsplit=2, flags=re.MULTILINE)
    assert yaml.safe_load(front)["license"] == license
    card = Markdown(body)
    assert not card.kinds & {"link_open", "image", "em_open", "strong_open", "html_inline", "html_block", "s_open"}
    assert set(map(str.strip, map(one_line, NAMES))) <= set(card.texts)
    assert len([line for line in body.splitlines() if line.startswith("#")]) == 6
    assert "pip install -e '.[hub]'" in body
    assert "lit-genre[" not in body
    assert "is not on a package registry yet" in body


def test_tables_of_weights_and_biases_have_each_column_once() -> None:
    row = track_tables._columns(CLASSES, "sound", "spectrogram")
    assert len(set(row)) == len(row) == 5 + len(NAMES) + 2
    data = SimpleNamespace(track=dict(enumerate(tracks(), start=1)).__getitem__)
    trainer: Any = SimpleNamespace(datamodule=data)
    table = track_tables.track_table(trainer, scores(), CLASSES)
    assert_clean(" ".join(map(str, [*table.columns, *(cell for row in table.data for cell in row)])))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_weights_and_biases_has_a_name_that_it_takes(name: str, tmp_path: Path) -> None:
    import wandb

    options = wandb_logger(str(tmp_path / f"x{folder_name(name)}"), tags=[name], mode="offline")._wandb_init
    settings = wandb.Settings(run_id=options["id"], run_tags=options["tags"])
    assert settings.run_id == options["id"]
    assert_clean(options["name"])


@pytest.mark.parametrize("name", NAMES)
def test_escaping_leaves_one_line_and_what_can_be_read(name: str) -> None:
    assert "\n" not in one_line(name)
    assert len(shorten(name, 10)) <= 10
    assert_clean(one_line(name))
    (text,) = Markdown(f"x {markdown(name)}").texts
    assert text == f"x {one_line(name)}".rstrip()
    assert spreadsheet_cell("Hip-Hop") == "Hip-Hop"
