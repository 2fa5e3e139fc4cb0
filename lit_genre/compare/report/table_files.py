"""Write the tables of a comparison as CSV, LaTeX and Markdown; `lit_genre.compare.report.tables` builds them."""

from pathlib import Path

import pandas as pd

from lit_genre.compare.report.tables import TIMES, TRAINING_TIME, results
from lit_genre.runs.run import Run
from lit_genre.text import markdown, spreadsheet_cell


def write_results(runs: list[Run], path: Path) -> None:
    """Write results.csv.

    Args:
        runs: The runs.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    table = results(runs)
    # Names come from folders and configurations of other people; a spreadsheet must not compute them.
    for column in ("model", "backbone", "chosen_by", "error"):
        table[column] = table[column].map(spreadsheet_cell)
    # The csv module quotes a line end within a cell only if its characters are in the line terminator.
    table.to_csv(path, index=False, lineterminator="\r\n", errors="backslashreplace")


def write_table(rows: list[list[str]], path: Path) -> None:
    """Write a table as CSV and as LaTeX, for papers.

    Args:
        rows: Rows of cells; the first row has the headings.
        path: File without suffix.

    Raises:
        OSError: A file cannot be written.
    """
    head, *body = rows
    table = pd.DataFrame(body, columns=head).map(spreadsheet_cell).rename(columns=spreadsheet_cell)
    table.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\r\n", errors="backslashreplace")
    write_latex(rows, path.with_suffix(".tex"))


def write_latex(rows: list[list[str]], path: Path) -> None:
    """Write a table as LaTeX with booktabs.

    Args:
        rows: Rows of cells; the first row has the headings.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    head, *body = rows
    style = pd.DataFrame(body, columns=head).style.hide(axis="index")
    latex = style.format(escape="latex").format_index(escape="latex", axis="columns")
    text = latex.to_latex(hrules=True, column_format="l" + "r" * (len(head) - 1))
    path.write_text(text.replace("±", r"$\pm$"), encoding="utf-8", errors="backslashreplace")


def as_markdown(rows: list[list[str]]) -> str:
    """Format rows as a table in Markdown, followed by the definition of the times if it has any.

    Args:
        rows: Rows of cells; the first row has the headings.
    """
    head, *body = ["| " + " | ".join(map(markdown, row)) + " |" for row in rows]
    definition = ["", TIMES] if any(row[0] == TRAINING_TIME for row in rows) else []
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body, *definition]) + "\n"
