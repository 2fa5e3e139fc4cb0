"""The report on finished runs: tables, differences, pictures and the page, from run folders that the tests write."""

import html.parser
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lit_genre.cluster_statistics import accuracy_interval
from lit_genre.compare.report.plots import draw_curves, draw_overfit
from lit_genre.compare.report.score_plots import draw_cost, draw_reliability
from lit_genre.compare.report.table_files import as_markdown
from lit_genre.compare.report.tables import COLUMNS, PAPERS, genre_rows, models, paper_table, results
from lit_genre.compare.report.write import report
from lit_genre.compare.scores.groups import disambiguate_names, group_by_data
from lit_genre.compare.scores.significance import differences
from lit_genre.errors import LitGenreError
from lit_genre.runs.reader import read_run
from lit_genre.runs.run import Run

GENRES = ["Folk", "Rock"]


def write_run(folder: Path, backbone: str, right: list[bool], val: list[float], seed: int = 0) -> Path:
    """Write a run with some correct test tracks."""
    folder.mkdir(parents=True)
    config = {"seed_everything": seed, "model": {"backbone": {"class_path": f"lit_genre.{backbone}"}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "summary.json").write_text(json.dumps({"parameters": 1000}))
    epochs = range(len(val))
    history = {"epoch": epochs, "seconds": 2.5, "memory_gb": [1.0 + e for e in epochs], "train/accuracy": 0.9}
    history |= {"val/accuracy": val, "train/loss": 0.5, "val/loss": 0.7}
    pd.DataFrame(history).to_csv(folder / "metrics.csv", index=False)
    rows = []
    for track, is_right in enumerate(right):
        genre = GENRES[track % 2]
        predicted = genre if is_right else GENRES[1 - track % 2]
        rows.append([100 + track, genre, predicted, -1, *(0.8 if name == predicted else 0.2 for name in GENRES)])
    table = pd.DataFrame(rows, columns=["track_id", "genre", "predicted", "artist_id", *GENRES])
    table.to_csv(folder / "test.csv", index=False)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """A good model with two seeds, a bad one with one, and one that failed."""
    folders = [
        write_run(tmp_path / "good-seed0", "CRNN", [True] * 38 + [False] * 2, [0.5, 0.8, 0.7]),
        write_run(tmp_path / "good-seed1", "CRNN", [True] * 36 + [False] * 4, [0.5, 0.9]),
        write_run(tmp_path / "bad-seed0", "RNN", [True] * 20 + [False] * 20, [0.4, 0.6]),
    ]
    (tmp_path / "broken-seed0").mkdir()
    (tmp_path / "broken-seed0" / "error.txt").write_text("no <memory> left\n")
    return [read_run(folder) for folder in (*folders, tmp_path / "broken-seed0")]


def test_a_run_is_read_back(runs: list[Run]) -> None:
    good = runs[0]
    assert (good.model, good.seed, good.backbone, good.parameters) == ("good", 0, "CRNN", 1000)
    assert (good.epochs, good.seconds, good.memory_gb) == (3, 7.5, 3.0)
    assert good.best_val == 0.8
    assert good.test == pytest.approx(38 / 40)
    # One Folk and one Rock are wrong: precision and recall are 19/20 for both.
    assert good.f1_macro == pytest.approx(0.95)
    assert (runs[3].error, runs[3].test) == ("no <memory> left", None)


def test_a_run_from_anywhere_is_called_by_its_backbone(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "CRNN-20261122-130645", "CRNN", [True], [0.5], seed=7))
    assert (run.model, run.seed) == ("CRNN", 7)


def test_runs_that_differ_in_more_than_the_seed_have_different_names(tmp_path: Path) -> None:
    def anywhere(
        name: str, seed: int = 0, data: dict[str, object] | None = None, tracks: int = 10, **more: object
    ) -> Run:
        folder = write_run(tmp_path / name, "CRNN", [True] * tracks, [0.5], seed=seed)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["data"] = {"class_path": "lit_genre.FMADataModule", "init_args": {"subset": "small"} | (data or {})}
        (folder / "config.yaml").write_text(yaml.safe_dump(config | more))
        return read_run(folder)

    runs = [
        anywhere("CRNN-1"),
        anywhere("CRNN-2", seed_everything=1, data={"root": "/elsewhere", "seed": 3, "num_workers": 4}),
        anywhere("CRNN-3", data={"subset": "medium"}),
        anywhere("CRNN-4", trainer={"max_epochs": 3, "devices": 2}),
        anywhere("CRNN-5", data={"root": "/other/music"}, tracks=11),
        anywhere("one/runs/CRNN-seed0", trainer={"max_epochs": 3, "devices": 1}),
        anywhere("two/runs/CRNN-seed0", select_by="last"),
    ]
    (runs[1].folder / "test.csv").unlink()
    runs[1] = read_run(runs[1].folder)
    disambiguate_names(runs)
    assert [run.model for run in runs] == [
        *("CRNN (CRNN-1)", "CRNN (CRNN-1)", "CRNN (CRNN-3)", "CRNN (CRNN-4)", "CRNN (CRNN-5)"),
        *("CRNN (CRNN-4)", "CRNN (two)"),
    ]
    alike = [read_run(run.folder) for run in runs[:2]]
    disambiguate_names(alike)
    assert {run.model for run in alike} == {"CRNN"}


@pytest.mark.parametrize("genres", [("1980", "1990"), ("None", "NA"), ("True", "False")])
def test_genres_may_look_like_something_else(tmp_path: Path, genres: tuple[str, str]) -> None:
    folder = write_run(tmp_path / "a-seed0", "CRNN", [True, True, True, False], [0.5])
    table = folder / "test.csv"
    table.write_text(table.read_text().replace("Folk", genres[0]).replace("Rock", genres[1]))
    assert read_run(folder).test == 0.75


@pytest.mark.parametrize(
    ("name", "content"), [("metrics.csv", ""), ("summary.json", "{"), ("test.csv", "a,b\n1,2\n"), ("config.yaml", "")]
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_run(tmp_path / "a-seed0", "CRNN", [True], [0.5])
    (folder / name).write_text(content)
    with pytest.raises(LitGenreError, match=rf"{name} is damaged"):
        read_run(folder)


def test_results_have_a_row_a_run(runs: list[Run]) -> None:
    table = results(runs)
    assert list(table.columns) == list(COLUMNS.values())
    assert table["model"].tolist() == ["good", "good", "bad", "broken"]
    assert table["test_accuracy"].tolist()[:3] == pytest.approx([0.95, 0.9, 0.5])
    assert table["error"].tolist() == ["", "", "", "no <memory> left"]


def test_the_papers_table_has_means_deviations_and_its_own_figures(runs: list[Run]) -> None:
    assert models(runs) == ["good", "bad", "broken"]
    rows = {row[0]: row[1:] for row in paper_table(runs, differences(runs), with_papers=True)}
    assert rows[""] == ["good", "bad", "broken"]
    # The mean of 95 and 90; their deviation is 5 / sqrt(2).
    assert rows["test accuracy, %"] == ["92.5 ± 3.5", "50.0", ""]
    assert rows["max validation accuracy, %"][0] == "85.0 ± 7.1"
    assert rows["Yaacob and Goldrich (2020): test accuracy, %"] == ["27.1", "11.1", ""]
    assert rows["runs"] == ["2", "1", "0"]
    low, high = accuracy_interval([1.0] * 36 + [0.5] * 2 + [0.0] * 2)
    assert rows["95 % interval of the accuracy"] == [f"{100 * low:.1f} to {100 * high:.1f}", "35.2 to 64.8", ""]
    assert not any(row[0].startswith("the paper") for row in paper_table(runs, differences(runs), with_papers=False))


def test_the_papers_figures_are_of_the_seven() -> None:
    from lit_genre.backbones.registry import backbones

    assert PAPERS.keys() == {name for name, plugin in backbones().items() if plugin.package == "lit-genre"} - {
        "CNN1DAttention"
    }


def test_a_clear_difference_is_significant_and_none_is_not(runs: list[Run], tmp_path: Path) -> None:
    (clear,) = differences(runs)
    assert (clear.first, clear.second, clear.tracks) == ("good", "bad", 40)
    # 92.5 % of the tracks on average over seeds, against 50 %.
    assert clear.points == pytest.approx(42.5)
    assert clear.low < 42.5 < clear.high
    assert clear.significant
    same = [read_run(write_run(tmp_path / f"{name}-seed0", "RNN", [True, False] * 9, [0.5])) for name in "ab"]
    (none,) = differences(same)
    assert (none.points, none.low, none.high, none.significant) == (0, 0, 0, False)


def test_one_track_of_eighty_is_not_significant(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a-seed0", "CRNN", [True] * 33 + [False] * 47, [0.5])
    second = write_run(tmp_path / "b-seed0", "RNN", [True] * 30 + [False] * 48 + [True] * 2, [0.5])
    (found,) = differences([read_run(first), read_run(second)])
    assert found.points == pytest.approx(1.25)
    assert not found.significant


def test_only_tracks_that_all_have_are_compared(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a-seed0", "CRNN", [True] * 40, [0.5])
    second = write_run(tmp_path / "b-seed0", "RNN", [False] * 30, [0.5])
    assert differences([read_run(first), read_run(second)])[0].tracks == 30


def test_runs_of_different_data_have_no_difference(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a-seed0", "CRNN", [True] * 8, [0.5])
    second = write_run(tmp_path / "b-seed0", "RNN", [False] * 8, [0.5])
    table = pd.read_csv(second / "test.csv")
    table["track_id"] += 1000
    table.to_csv(second / "test.csv", index=False)
    assert differences([read_run(first), read_run(second)]) == []
    third = write_run(tmp_path / "c-seed0", "CNN1DDeep", [True, True, True, False] * 2, [0.5])
    found = differences([read_run(folder) for folder in (first, second, third)])
    assert [(pair.first, pair.second, pair.points) for pair in found] == [("a", "c", 25)]
    # A number that data sets share is another track where the genre is another.
    table["track_id"] -= 1000
    table[["genre", "predicted"]] = table[["predicted", "genre"]]
    table.to_csv(second / "test.csv", index=False)
    assert differences([read_run(first), read_run(second)]) == []


def test_a_handful_of_tracks_is_no_difference(tmp_path: Path) -> None:
    for n, count in ((5, 0), (6, 1)):
        first, second = (
            write_run(tmp_path / f"{n}" / f"{name}-seed0", "CRNN", [right] * n, [0.5])
            for name, right in (("a", True), ("b", False))
        )
        assert len(differences([read_run(first), read_run(second)])) == count


def test_a_network_significantly_below_the_baseline_is_marked(runs: list[Run], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "baseline", "SVM", [True] * 30 + [False] * 10, [0.7])
    (folder / "summary.json").write_text(json.dumps({"parameters": None, "name": "MFCC+SVM", "baseline": True}))
    runs.append(read_run(folder))
    rows = {row[0]: row[1:] for row in paper_table(runs, differences(runs), with_papers=False)}
    assert rows[""] == ["good", "MFCC+SVM", "bad", "broken"]
    # 92.5 and 50 of its 75 %.
    assert rows["over MFCC+SVM, points"] == ["+17.5", "", "-25.0 below baseline", ""]
    # A small difference may be chance.
    pairs = [pair._replace(p=0.05) for pair in differences(runs)]
    rows = {row[0]: row[1:] for row in paper_table(runs, pairs, with_papers=False)}
    assert rows["over MFCC+SVM, points"] == ["+17.5", "", "-25.0", ""]
    report(runs, tmp_path)
    assert (
        "<td class='below-baseline' data-value='-25.0'>-25.0 below baseline</td>"
        in (tmp_path / "report.html").read_text()
    )


def test_the_epoch_that_was_tested_and_its_gap_are_read_back(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a-seed0", "CRNN", [True], [0.5, 0.8, 0.6])
    (folder / "summary.json").write_text(json.dumps({"parameters": 9, "epoch": 2, "chosen_by": "the last"}))
    run = read_run(folder)
    assert (run.epoch, run.chosen_by, run.train, run.best_val) == (3, "the last", 0.9, 0.8)
    # Of the epoch that was tested, not of the best.
    assert run.gap == pytest.approx(0.9 - 0.6)


def test_calibration_is_of_the_probabilities(tmp_path: Path) -> None:
    # All are predicted with 0.8: right as often as that, or always.
    calibrated = read_run(write_run(tmp_path / "a", "CRNN", [True] * 8 + [False] * 2, [0.5]))
    modest = read_run(write_run(tmp_path / "b", "CRNN", [True] * 10, [0.5]))
    assert calibrated.calibration_error == pytest.approx(0, abs=1e-6)
    assert modest.calibration_error == pytest.approx(0.2, abs=1e-6)


def test_markdown() -> None:
    assert as_markdown([["", "a"], ["x", "1"]]) == "|  | a |\n|---|---|\n| x | 1 |\n"


def test_all_files_of_the_report_are_written(
    runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "report"
    report(runs, folder)
    assert {path.name for path in folder.iterdir()} == {
        "results.csv", "table.md", "table.csv", "table.tex", "curves.png", "overfit.png", "confusion", "report.html",
        "differences.csv", "differences.tex", "cost.png", "reliability.png",
    }  # fmt: skip
    assert [path.name for path in sorted((folder / "confusion").iterdir())] == ["0-good.png", "1-bad.png"]
    assert r"test accuracy, \% & 92.5 $\pm$ 3.5 & 50.0" in (folder / "table.tex").read_text()
    assert "92.5 ± 3.5" in (folder / "table.csv").read_text()
    assert pd.read_csv(folder / "results.csv")["model"].tolist() == ["good", "good", "bad", "broken"]
    assert "good over bad" in (folder / "table.md").read_text()
    assert "broken-seed0 failed: no <memory> left" in "".join(capsys.readouterr())


class Page(html.parser.HTMLParser):
    """Collects the texts of a page, and the links that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_needs_no_network_and_shows_what_it_was_given(runs: list[Run], tmp_path: Path) -> None:
    report(runs, tmp_path)
    text = (tmp_path / "report.html").read_text()
    read = Page(text)
    assert all(link.startswith("data:") for link in read.links)
    assert "url(" not in text
    assert "no <memory> left" in read.text
    assert "92.5 ± 3.5" in read.text
    assert "data-value='92.5'" in text
    assert "3 finished runs of 3 models. 1 failed." in text
    assert "data: 40 test tracks" in read.text
    # F1 of Folk: the good model has 19 of 20 and 18 of 20, symmetrically with Rock; the bad one 10 of 20.
    assert [row[0] for row in genre_rows(runs)] == ["genre", "Folk", "Rock"]
    assert genre_rows(runs)[1][1:] == ["92.5", "50.0"]
    assert text.count("<img") == 6


def test_runs_on_different_data_are_never_in_one_ranking(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / f"{name}-seed0", "CRNN", [True] * 8, [0.5]) for name in "abc"]
    table = pd.read_csv(folders[2] / "test.csv")
    table["track_id"] += 1000
    table["artist_id"] = [1, 1, 2, 2, 3, 3, 4, 4]
    table.to_csv(folders[2] / "test.csv", index=False)
    # One track less is the same data.
    table = pd.read_csv(folders[1] / "test.csv")
    table.iloc[1:].to_csv(folders[1] / "test.csv", index=False)
    runs = [read_run(folder) for folder in folders]
    groups = group_by_data(runs)
    assert [[run.model for run in group.runs] for group in groups] == [["a", "b"], ["c"]]
    assert [group.title for group in groups] == ["data: 8 test tracks", "data: 8 test tracks by 4 artists"]
    report(runs, tmp_path / "report")
    text = (tmp_path / "report" / "table.md").read_text()
    assert text.count("## data: 8 test tracks") == 2
    assert text.count("| test accuracy, % |") == 2
    page = (tmp_path / "report" / "report.html").read_text()
    sections = page.split("<h2>")[1:]
    assert [section.partition("</h2>")[0] for section in sections] == [group.title for group in groups]
    for section, names in zip(sections, ("ab", "c"), strict=True):
        headings = re.findall("<h3>(.+?)</h3>", section)
        expected = [
            "Models",
            "F1 of each genre, %",
            "Confusion matrices",
            "Accuracy and time",
            "Reliability",
            "Overfitting",
            "Curves",
            "Runs",
        ]
        assert [heading for heading in headings if heading != "Significant differences"] == expected
        # Each table, the runs included, has the models of this data alone.
        assert set(re.findall("<td>([abc])</td>", section)) == set(names)
        assert re.findall("Confusion matrix of ([abc])", section) == list(names)
    assert {"table-1.csv", "curves-2.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert "They have 2 data sets" in (tmp_path / "report" / "report.html").read_text()


def test_columns_without_a_value_are_left_out_of_the_page(runs: list[Run], tmp_path: Path) -> None:
    report(runs[:3], tmp_path)
    headings = re.findall("<button type='button'>(.*?)</button>", (tmp_path / "report.html").read_text())
    assert "seed" in headings
    assert not {"repeat", "fold", "error"} & set(headings)


def test_curves_have_a_style_for_each_model_and_a_whole_legend(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    written: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **options: written.append(figure))
    draw_curves(runs, tmp_path / "curves.png")
    many = [replace(runs[0], model=f"model {number}") for number in range(50)]
    draw_overfit(many, tmp_path / "overfit.png")
    curves, overfit = written
    assert [axes.get_title() for axes in curves.axes] == ["train accuracy", "val accuracy", "train loss", "val loss"]
    good, same, bad = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in curves.axes[1].lines]
    assert good == same
    assert all(first != second for first, second in zip(good, bad, strict=True))
    assert [text.get_text() for text in curves.legends[0].texts] == ["good", "bad"]
    (axes,) = overfit.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "percentage points")
    overfit.draw_without_rendering()
    assert len(overfit.legends[0].texts) == 50
    assert overfit.legends[0].get_window_extent().y0 >= 0


DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")


@pytest.mark.browser
@pytest.mark.skipif(not (DRIVER and BROWSER), reason="chromium and its driver are not installed")
def test_the_page_fits_a_screen_and_a_phone_in_light_and_dark(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    # The widest table has the results of the paper.
    monkeypatch.setattr("lit_genre.compare.report.write.FMA_SMALL_TEST_TRACKS", 40)
    networks = [replace(runs[0], model=name, backbone=name) for name in PAPERS]
    baseline = replace(runs[2], model="MFCC+SVM", is_baseline=True)
    report([*networks, baseline], tmp_path)
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(DRIVER))
    try:
        backgrounds = []
        for width, scheme in ((1280, "light"), (390, "dark")):
            metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 1000}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            browser.get((tmp_path / "report.html").as_uri())
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            overflowing = browser.execute_script(
                "return [...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth).length"
            )
            # On a phone, tables scroll within their containers.
            assert (overflowing == 0) == (width == 1280)
            backgrounds.append(
                browser.execute_script("return getComputedStyle(document.querySelector('th')).background")
            )
        assert backgrounds[0] != backgrounds[1]
    finally:
        browser.quit()


def test_tracks_of_one_artist_are_one_cluster(tmp_path: Path) -> None:
    correct = {"a": True, "b": False}
    folders = [write_run(tmp_path / f"{name}-seed0", "CRNN", [right] * 40, [0.5]) for name, right in correct.items()]
    for n_artists, is_significant in ((40, True), (5, False)):
        for folder in folders:
            table = pd.read_csv(folder / "test.csv")
            table["artist_id"] = [track % n_artists for track in range(40)]
            table.to_csv(folder / "test.csv", index=False)
        (found,) = differences([read_run(folder) for folder in folders])
        assert (found.clusters, found.significant) == (n_artists, is_significant)


def test_a_report_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match="has no run to report on"):
        report([], tmp_path)


def test_the_cost_is_drawn_with_intervals_and_the_reliability_with_a_line_a_model(
    runs: list[Run], tmp_path: Path, figures: list[Any]
) -> None:
    draw_cost(runs, tmp_path / "cost.png")
    draw_reliability(runs, tmp_path / "reliability.png")
    cost, reliability = (drawn.axes[0] for drawn in figures)
    assert cost.get_xscale() == "log"
    assert [container.get_label() for container in cost.containers] == ["good", "bad"]
    good = cost.containers[0]
    low, high = good.lines[2][0].get_segments()[0][:, 1]
    accuracy = float(good.lines[0].get_ydata()[0])
    assert accuracy == pytest.approx(92.5)
    assert low < accuracy < high
    # The diagonal is the third line.
    labels = [line.get_label() for line in reliability.lines[:2]]
    assert labels == ["good", "bad"]
    # All tracks of `bad` have one probability, and half of them are right.
    assert reliability.lines[1].get_ydata() == pytest.approx([0.5])


def test_differences_are_numbers_in_a_file(runs: list[Run], tmp_path: Path) -> None:
    report(runs, tmp_path)
    table = pd.read_csv(tmp_path / "differences.csv")
    (pair,) = differences(runs)
    assert table.loc[0, ["first", "second", "tracks"]].tolist() == ["good", "bad", 40]
    assert table.loc[0, ["points", "low", "high", "p"]].tolist() == pytest.approx(
        [pair.points, pair.low, pair.high, pair.p], abs=1e-5
    )
    assert "good over bad" in (tmp_path / "differences.tex").read_text()
