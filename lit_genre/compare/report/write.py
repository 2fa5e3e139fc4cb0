"""Write the report of a comparison: tables, pictures and one page with all of them."""

from pathlib import Path

from lit_genre.compare.report.difference_table import difference_rows, write_differences
from lit_genre.compare.report.multilabel import genre_precision_rows, precision_table
from lit_genre.compare.report.page import Section, write_page
from lit_genre.compare.report.plots import draw_confusions, draw_curves, draw_overfit
from lit_genre.compare.report.score_plots import draw_cost, draw_reliability
from lit_genre.compare.report.table_files import write_results, write_table
from lit_genre.compare.report.tables import genre_rows, paper_table
from lit_genre.compare.scores.average_precision import precision_differences
from lit_genre.compare.scores.groups import DataGroup, disambiguate_names, group_by_data
from lit_genre.compare.scores.pooling import pool_folds
from lit_genre.compare.scores.significance import differences
from lit_genre.console import console, results
from lit_genre.errors import LitGenreError
from lit_genre.runs.run import Run
from lit_genre.text import markdown

FMA_SMALL_TEST_TRACKS = 800
"""With this number of test tracks, the report includes the results of Yaacob and Goldrich (2020)."""


def report(runs: list[Run], folder: Path) -> None:
    """Write the report: results.csv, tables as .md, .csv and .tex, pictures, and report.html.

    Runs on different data have tables and pictures of their own, with a number in their names.

    Args:
        runs: The runs; those that have neither an epoch nor an error are left out.
        folder: Folder of the report.

    Raises:
        LitGenreError: There is no run.
    """
    runs = [run for run in runs if run.error or not run.history.empty]
    if not runs:
        raise LitGenreError(f"{folder} has no run to report on. Name runs with --runs, or train some with --configs.")
    folder.mkdir(parents=True, exist_ok=True)
    write_results(runs, folder / "results.csv")
    sections = []
    pooled = pool_folds(runs)
    disambiguate_names(pooled)
    groups = group_by_data(pooled)
    for number, group in enumerate(groups, start=1):
        suffix = "" if len(groups) == 1 else f"-{number}"
        sections.append(_report_group(group, folder, suffix))
    headings = [f"## {markdown(section.title)}\n\n" for section in sections]
    text = "\n".join(heading + section.markdown for heading, section in zip(headings, sections, strict=True))
    (folder / "table.md").write_text(text, encoding="utf-8")
    write_page(sections, runs, folder / "report.html")
    results.print(text)
    for run in runs:
        if run.error:
            console.print(f"{run.folder.name} failed: {run.error}")
    for run in pooled:
        if run.members and run.score is None:
            console.print(f"{run.model}, seed {run.seed}, repeat {run.repeat}: {run.error}. It has no score yet.")
    console.print(f"Report: {folder / 'report.html'}")


def _report_group(group: DataGroup, folder: Path, suffix: str) -> Section:
    """Write the tables and pictures of runs on the same data."""
    runs = group.runs
    # Each fold has curves of its own.
    trained = [member for run in runs for member in (run.members or [run])]
    pictures = {"Curves": folder / f"curves{suffix}.png"}
    draw_curves(trained, pictures["Curves"])
    if runs[0].task == "multilabel":
        pairs, table, genres = precision_differences(runs), precision_table(runs), genre_precision_rows(runs)
        confusions: dict[str, Path] = {}
    else:
        # The folds of a cross-validation test other tracks.
        with_papers = any(len(run.predictions) == FMA_SMALL_TEST_TRACKS and not run.members for run in runs)
        pairs = differences(runs)
        table, genres = paper_table(runs, pairs, with_papers), genre_rows(runs)
        pictures = _draw_scores(runs, trained, folder, suffix) | pictures
        confusions = draw_confusions(runs, folder / f"confusion{suffix}")
    write_table(table, folder / f"table{suffix}")
    if pairs:
        write_differences(pairs, folder / f"differences{suffix}")
    rows = difference_rows(pairs) if pairs else []
    score = "average precision" if runs[0].task == "multilabel" else "accuracy"
    return Section(group.title, table, rows, genres, pictures, confusions, trained, score)


def _draw_scores(runs: list[Run], trained: list[Run], folder: Path, suffix: str) -> dict[str, Path]:
    """Draw the pictures of the multiclass task, and return their files by their headings."""
    names = {"Accuracy and time": "cost", "Reliability": "reliability", "Overfitting": "overfit"}
    pictures = {heading: folder / f"{name}{suffix}.png" for heading, name in names.items()}
    draw_cost(runs, pictures["Accuracy and time"])
    draw_reliability(runs, pictures["Reliability"])
    draw_overfit(trained, pictures["Overfitting"])
    return pictures
