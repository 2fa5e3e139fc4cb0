"""Write the page of a comparison: one HTML file with sortable tables and pictures, which needs no network."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

import pandas as pd

from lit_genre import __version__
from lit_genre.compare.report.table_files import as_markdown
from lit_genre.compare.report.tables import BELOW_BASELINE, TIMES, results
from lit_genre.runs.run import Run
from lit_genre.text import one_line

# Columns of results.csv that the page shows in percent, and the digits of other numbers.
_PERCENT: Final = (
    *("best_val_score", "train_accuracy", "gap", "test_accuracy", "test_f1_macro", "test_average_precision"),
    "test_roc_auc",
)
_DIGITS: Final = {"feature_seconds": 1, "training_seconds": 1, "test_calibration_error": 3, "peak_memory_gb": 2}


@dataclass
class Section:
    """The report on runs on the same data.

    Attributes:
        title: Name of the data, with the numbers of test tracks and artists.
        models: Table of `paper_table`.
        pairs: Table of `difference_rows`; empty if no pair was compared.
        genres: Table of the score of each genre.
        score: Name of the primary score: "accuracy", or "average precision" in the multilabel task.
        pictures: PNG file of each picture, by its heading.
        confusions: PNG file of the confusion matrix of each model, by its name.
        runs: The runs.
    """

    title: str
    models: list[list[str]]
    pairs: list[list[str]]
    genres: list[list[str]]
    pictures: dict[str, Path]
    confusions: dict[str, Path]
    runs: list[Run]
    score: str = "accuracy"

    @property
    def markdown(self) -> str:
        """The tables of models and of differences in Markdown."""
        tables = [as_markdown(self.models), *([as_markdown(self.pairs)] if self.pairs else [])]
        return "\n".join(tables)


def write_page(sections: list[Section], runs: list[Run], path: Path) -> None:
    """Write report.html.

    Args:
        sections: The report on each data set.
        runs: All runs.
        path: The file to write.

    Raises:
        OSError: A picture cannot be read, or the page cannot be written.
    """
    parts = [part for section in sections for part in _parts(section)]
    finished = [run for run in runs if run.score is not None]
    failed = sum(bool(run.error) for run in runs)
    summary = f"{len(finished)} finished runs of {len({run.model for run in runs})} models."
    summary += f" {failed} failed." if failed else ""
    if len(sections) > 1:
        summary += f" They have {len(sections)} data sets; accuracies of different data cannot be compared."
    page = Template((files("lit_genre.compare.report") / "page.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title="Comparison of models", summary=summary, sections="\n".join(parts), version=__version__
    )
    path.write_text(text, encoding="utf-8")


def _parts(section: Section) -> list[str]:
    by_model = list(map(list, zip(*section.models, strict=True)))
    by_model[0][0] = "model"
    parts = [
        f"<h2>{_escaped(section.title)}</h2>",
        _part("Models", f"Mean and standard deviation over seeds. Click a heading to sort. {TIMES}", _table(by_model)),
    ]
    if section.pairs:
        explanation = (
            f"Differences of test {section.score} on the same tracks, in percentage points. The tracks of an artist "
            "are one cluster of the 95 % interval and of the test. The p-values are corrected for the number of pairs "
            "(Holm, 1979). A pair is significant if its corrected p-value is below 0.05."
        )
        parts.append(_part("Significant differences", explanation, _table(section.pairs)))
    if len(section.genres) > 1:
        score = "F1" if section.score == "accuracy" else section.score.capitalize()
        parts.append(_part(f"{score} of each genre, %", "Mean over the runs of a model.", _table(section.genres)))
    if section.confusions:
        pictures = [_picture(path, f"Confusion matrix of {name}") for name, path in section.confusions.items()]
        explanation = "Summed over the runs of a model. Click a picture to see it in its full size."
        parts.append(_part("Confusion matrices", explanation, f"<div class='row'>{''.join(pictures)}</div>"))
    parts += [_part(heading, "", _picture(path, heading)) for heading, path in section.pictures.items()]
    return [*parts, _part("Runs", "Each run; the same values are in results.csv.", _table(_run_rows(section.runs)))]


def _run_rows(runs: list[Run]) -> list[list[object]]:
    table = results(runs)
    # Without a cross-validation, there is one repeat.
    if table["fold"].isna().all():
        table = table.drop(columns="repeat")
    names = [str(name) for name in table.columns]
    rows: list[list[object]] = [[name.replace("_", " ") + (", %" if name in _PERCENT else "") for name in names]]
    for values in table.itertuples(index=False):
        rows.append([_format_value(name, value) for name, value in zip(names, values, strict=True)])
    # Empty columns, such as fold and error, would make the table too wide for the page.
    filled = [any(cell != "" for cell in column) for column in zip(*rows[1:], strict=True)]
    return [[cell for cell, is_filled in zip(row, filled, strict=True) if is_filled] for row in rows]


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
    return (
        f"<div class='scroll table'><table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    text = str(value)
    # A mean with its deviation, and a number with commas, are sorted by their value.
    number = text.partition(" ±")[0].removesuffix(BELOW_BASELINE).replace(",", "")
    is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", number)
    is_text = not is_number and len(text) > 16
    kind = " class='below-baseline'" if text.endswith(BELOW_BASELINE) else " class='text'" if is_text else ""
    return f"<td{kind}" + (f" data-value='{float(number)}'" if is_number else "") + f">{_escaped(text)}</td>"


def _escaped(text: str) -> str:
    # Characters that a browser hides or reorders are shown as their escapes.
    return escape(one_line(text))


def _picture(path: Path, description: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    # As a data URL, so that the page is one file.
    return f"<div class='scroll'><img alt='{_escaped(description)}' src='data:image/png;base64,{data}'></div>"


def _part(heading: str, explanation: str, content: str) -> str:
    return f"<h3>{escape(heading)}</h3>\n" + (f"<p>{escape(explanation)}</p>\n" if explanation else "") + content
