"""Write the page of a comparison: one HTML file with sortable tables and pictures, which needs no network."""

import base64
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import pandas as pd

from lit_genre import __version__
from lit_genre.compare.significance import Difference
from lit_genre.compare.tables import BELOW_BASELINE, TIMES, difference_rows, paper_table, results
from lit_genre.runs.reader import Run
from lit_genre.text import one_line

# Columns of results.csv that the page shows in percent, and the digits of other numbers.
_PERCENT: Final = ("best_val_accuracy", "train_accuracy", "gap", "test_accuracy", "test_f1_macro")
_DIGITS: Final = {"feature_seconds": 1, "training_seconds": 1, "test_calibration_error": 3, "peak_memory_gb": 2}


def write_page(
    runs: list[Run], pairs: list[Difference], pictures: dict[str, Path], with_papers: bool, path: Path
) -> None:
    """Write report.html.

    Args:
        runs: The runs.
        pairs: Differences between the models.
        pictures: PNG file of each picture, by its heading.
        with_papers: Add the results of Yaacob and Goldrich (2020), which are for FMA small.
        path: The file to write.

    Raises:
        OSError: A picture cannot be read, or the page cannot be written.
    """
    by_model = list(map(list, zip(*paper_table(runs, with_papers), strict=True)))
    by_model[0][0] = "model"
    sections = [
        _section(
            "Models", f"Mean and standard deviation over seeds. Click a heading to sort. {TIMES}", _table(by_model)
        )
    ]
    if pairs:
        explanation = (
            "Differences of test accuracy on the same tracks, in percentage points. The 95 % interval is a bootstrap "
            "over the tracks. If it contains 0, the difference is not significant. Of twenty pairs without a true "
            "difference, one is expected to be called significant by chance."
        )
        sections.append(_section("Significant differences", explanation, _table(difference_rows(pairs))))
    sections += [_section(heading, "", _picture(picture)) for heading, picture in pictures.items()]
    sections.append(_section("Runs", "Each run; the same values are in results.csv.", _table(_run_rows(runs))))
    finished = [run for run in runs if run.test is not None]
    failed = sum(bool(run.error) for run in runs)
    summary = f"{len(finished)} runs of {len({run.model for run in runs})} models, tested on "
    summary += f"{max((len(run.predictions) for run in runs), default=0):,} tracks."
    summary += f" {failed} failed." if failed else ""
    page = Template((files("lit_genre.compare") / "page.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title="Comparison of architectures", summary=summary, sections="\n".join(sections), version=__version__
    )
    path.write_text(text, encoding="utf-8")


def _run_rows(runs: list[Run]) -> list[list[object]]:
    table = results(runs)
    names = [str(name) for name in table.columns]
    rows: list[list[object]] = [[name.replace("_", " ") + (", %" if name in _PERCENT else "") for name in names]]
    for values in table.itertuples(index=False):
        rows.append([_format_value(name, value) for name, value in zip(names, values, strict=True)])
    return rows


def _format_value(name: str, value: Any) -> object:
    if pd.isna(value):
        return ""
    if name in _PERCENT:
        return f"{100 * value:.1f}"
    return f"{value:.{_DIGITS[name]}f}" if name in _DIGITS else value


def _table(rows: Sequence[Sequence[object]]) -> str:
    head, *body = rows
    heads = "".join(f"<th><button type='button'>{_escaped(str(cell))}</button></th>" for cell in head)
    lines = ("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in body)
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _cell(value: object) -> str:
    text = str(value)
    # A mean with its deviation, and a number with commas, are sorted by their value.
    number = text.partition(" ±")[0].removesuffix(BELOW_BASELINE).replace(",", "")
    is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", number)
    kind = " class='below-baseline'" if text.endswith(BELOW_BASELINE) else " class='words'" if len(text) > 40 else ""
    return f"<td{kind}" + (f" data-value='{float(number)}'" if is_number else "") + f">{_escaped(text)}</td>"


def _escaped(text: str) -> str:
    # Characters that a browser hides or reorders are shown as their escapes.
    return escape(one_line(text))


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    # As a data URL, so that the page is one file.
    return f"<div class='scroll'><img alt='{escape(path.stem)}' src='data:image/png;base64,{data}'></div>"


def _section(heading: str, explanation: str, content: str) -> str:
    return f"<h2>{escape(heading)}</h2>\n" + (f"<p>{escape(explanation)}</p>\n" if explanation else "") + content
