"""The tables of a comparison: a row a run, and a column a model as in Yaacob and Goldrich (2020)."""

from pathlib import Path
from typing import Final

import pandas as pd

from lit_genre.compare.significance import Difference
from lit_genre.runs.reader import Run
from lit_genre.text import markdown, spreadsheet_cell

PAPERS: Final = {
    "CNN2DDeep": (57.6, 40.4),
    "CNN2DShallow": (54.0, 31.5),
    "CNN1DDeep": (53.8, 33.1),
    "CNN1DShallow": (54.4, 33.1),
    "RNN": (14.8, 11.1),
    "CRNN": (51.9, 27.1),
    "CRNNStacked": (51.9, 40.1),
}
"""Greatest validation accuracy and test accuracy on FMA small, percent.

Source: S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
"""

BELOW_BASELINE: Final = " loses"
"""Mark of a network that does worse than a baseline without any."""

FEATURE_TIME: Final = "feature time, s"
TRAINING_TIME: Final = "training time, s"
TIMES: Final = (
    "Feature time: computing features or embeddings of the training and validation tracks before training. It is 0 for "
    "a network, which computes them in training, and empty where an earlier run computed them. Training time: epochs "
    "with their validation, or fitting classifiers and choosing one of them on validation. Neither time includes the "
    "test, or decoding before training."
)
"""Definition of the two times, for every table that has them."""

COLUMNS: Final = {
    "model": "model",
    "backbone": "backbone",
    "seed": "seed",
    "parameters": "parameters",
    "feature_seconds": "feature_seconds",
    "seconds": "training_seconds",
    "epochs": "epochs",
    "best_val": "best_val_accuracy",
    "epoch": "chosen_epoch",
    "chosen_by": "chosen_by",
    "train": "train_accuracy",
    "gap": "gap",
    "test": "test_accuracy",
    "f1_macro": "test_f1_macro",
    "calibration_error": "test_calibration_error",
    "memory_gb": "peak_memory_gb",
    "error": "error",
}
"""Attributes of a run, and the columns of results.csv."""


def results(runs: list[Run]) -> pd.DataFrame:
    """Tabulate a row a run."""
    rows = [{column: getattr(run, name) for name, column in COLUMNS.items()} for run in runs]
    table = pd.DataFrame(rows, columns=list(COLUMNS.values()))
    return table.astype(dict.fromkeys(("seed", "parameters", "epochs", "chosen_epoch"), "Int64")).round(6)


def write_results(runs: list[Run], path: Path) -> None:
    """Write results.csv."""
    table = results(runs)
    for column in ("model", "backbone", "chosen_by", "error"):
        table[column] = table[column].map(spreadsheet_cell)
    # Of ends of lines within a cell, the csv module quotes those alone that also end a line here.
    table.to_csv(path, index=False, lineterminator="\r\n", errors="backslashreplace")


def models(runs: list[Run]) -> list[str]:
    """Name the models in the order of their test accuracy, the best first; those without one last."""
    table = results(runs).groupby("model", sort=False)["test_accuracy"].mean()
    return list(table.sort_values(ascending=False, kind="stable", na_position="last").index)


def paper_table(runs: list[Run], with_papers: bool) -> list[list[str]]:
    """Lay out the table of Yaacob and Goldrich (2020): a column a model, with means and deviations over seeds.

    Args:
        runs: Those to summarise.
        with_papers: Whether to add the figures of Yaacob and Goldrich (2020), which are of FMA small.
    """
    names = models(runs)
    table = results(runs).groupby("model")
    backbone_of = {run.model: run.backbone for run in runs if run.backbone}

    def row(title: str, column: str, scale: float, digits: int) -> list[str]:
        return [title, *(_mean(table.get_group(name)[column].dropna() * scale, digits) for name in names)]

    rows = [
        ["", *names],
        row(FEATURE_TIME, "feature_seconds", 1, 1),
        row(TRAINING_TIME, "training_seconds", 1, 1),
        row("max validation accuracy, %", "best_val_accuracy", 100, 1),
        row("test accuracy, %", "test_accuracy", 100, 1),
        *_over_baseline(runs, names),
        row("test F1, mean over genres, %", "test_f1_macro", 100, 1),
        row("calibration error", "test_calibration_error", 1, 3),
        row("epoch chosen", "chosen_epoch", 1, 0),
        row("gap: train minus val accuracy, points", "gap", 100, 1),
        row("parameters, thousands", "parameters", 1e-3, 1),
        ["runs", *(str(int(table.get_group(name)["test_accuracy"].notna().sum())) for name in names)],
    ]
    if with_papers:
        for title, place in (
            ("Yaacob and Goldrich (2020): max validation accuracy, %", 0),
            ("Yaacob and Goldrich (2020): test accuracy, %", 1),
        ):
            figures = (PAPERS.get(backbone_of.get(name, "")) for name in names)
            rows.append([title, *(f"{both[place]:.1f}" if both else "" for both in figures)])
    return rows


def _over_baseline(runs: list[Run], names: list[str]) -> list[list[str]]:
    """Lay out how many points of test accuracy each model has over each baseline, and mark what loses to it."""
    accuracy = results(runs).groupby("model")["test_accuracy"].mean()
    rows = []
    for baseline in dict.fromkeys(run.model for run in runs if run.is_baseline):
        points = {name: 100 * (accuracy[name] - accuracy[baseline]) for name in names if name != baseline}
        cells = [
            f"{points[name]:+.1f}{BELOW_BASELINE if points[name] < 0 else ''}" if name in points else ""
            for name in names
        ]
        rows.append([f"over {baseline}, points", *(cell.replace("+nan", "") for cell in cells)])
    return rows


def _mean(values: pd.Series, digits: int) -> str:
    if values.empty:
        return ""
    mean = f"{values.mean():,.{digits}f}"
    return mean if values.nunique() == 1 or len(values) == 1 else f"{mean} ± {values.std():,.{digits}f}"


def difference_rows(found: list[Difference]) -> list[list[str]]:
    """Lay out the differences between models."""
    rows = [["pair", "points", "95 % interval", "more than chance"]]
    for one in found:
        interval = f"{one.low:+.1f} to {one.high:+.1f}"
        rows.append([f"{one.first} over {one.second}", f"{one.points:+.1f}", interval, "yes" if one.matters else "no"])
    return rows


def as_markdown(rows: list[list[str]]) -> str:
    """Write rows, the first of them the head, as a table in Markdown; below, the definition of times in it."""
    head, *body = ["| " + " | ".join(map(markdown, row)) + " |" for row in rows]
    definition = ["", TIMES] if any(row[0] == TRAINING_TIME for row in rows) else []
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body, *definition]) + "\n"
