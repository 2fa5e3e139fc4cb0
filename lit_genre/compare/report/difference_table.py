"""Build the table of the differences between the models of a comparison."""

from pathlib import Path

import pandas as pd

from lit_genre.compare.report.table_files import write_latex
from lit_genre.compare.scores.significance import Difference
from lit_genre.text import spreadsheet_cell


def difference_rows(pairs: list[Difference]) -> list[list[str]]:
    """Build the table of the differences between models.

    Args:
        pairs: The differences.

    Returns:
        Rows of cells; the first row has the headings.
    """
    repeated = any(pair.p_folds is not None for pair in pairs)
    rows = [["pair", "points", "95 % interval", "p, corrected", *["p over folds"] * repeated, "significant"]]
    for pair in pairs:
        interval = f"{pair.low:+.1f} to {pair.high:+.1f}"
        p_values = [pair.p, pair.p_folds] if repeated else [pair.p]
        cells = ["" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}" for p in p_values]
        significant = "yes" if pair.significant else "no"
        rows.append([f"{pair.first} over {pair.second}", f"{pair.points:+.1f}", interval, *cells, significant])
    return rows


def write_differences(pairs: list[Difference], path: Path) -> None:
    """Write the differences as CSV, with a column for each attribute of `Difference`, and as LaTeX.

    Args:
        pairs: The differences, at least one.
        path: File without suffix.

    Raises:
        OSError: A file cannot be written.
    """
    table = pd.DataFrame([pair._asdict() for pair in pairs]).round(6)
    for column in ("first", "second"):
        table[column] = table[column].map(spreadsheet_cell)
    table.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\r\n", errors="backslashreplace")
    write_latex(difference_rows(pairs), path.with_suffix(".tex"))
