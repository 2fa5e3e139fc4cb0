"""Write the report of a comparison: tables, pictures and one page with all of them."""

from pathlib import Path

from lit_genre.compare.page import write_page
from lit_genre.compare.plots import draw_curves, draw_overfit
from lit_genre.compare.significance import differences
from lit_genre.compare.tables import as_markdown, difference_rows, paper_table, write_results
from lit_genre.console import console, results
from lit_genre.errors import LitGenreError
from lit_genre.runs.reader import Run

FMA_SMALL_TEST_TRACKS = 800
"""With this number of test tracks, the report includes the results of Yaacob and Goldrich (2020)."""


def report(runs: list[Run], folder: Path) -> None:
    """Write the report: results.csv, table.md, curves.png, overfit.png and report.html.

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
    with_papers = any(len(run.predictions) == FMA_SMALL_TEST_TRACKS for run in runs)
    pairs = differences(runs)
    write_results(runs, folder / "results.csv")
    table = as_markdown(paper_table(runs, with_papers))
    significance = as_markdown(difference_rows(pairs)) if pairs else ""
    (folder / "table.md").write_text("\n".join(filter(None, (table, significance))), encoding="utf-8")
    draw_curves(runs, folder / "curves.png")
    draw_overfit(runs, folder / "overfit.png")
    pictures = {"Curves": folder / "curves.png", "Overfitting": folder / "overfit.png"}
    write_page(runs, pairs, pictures, with_papers, folder / "report.html")
    results.print(table)
    for run in runs:
        if run.error:
            console.print(f"{run.folder.name} failed: {run.error}")
    console.print(f"Report: {folder / 'report.html'}")
