"""Build the tables of a comparison: a row for each run, or a column for each model as in Yaacob and Goldrich (2020)."""

from typing import Final

import pandas as pd

from lit_genre.compare.scores.intervals import interval_rows
from lit_genre.compare.scores.significance import Difference
from lit_genre.runs.run import Run

PAPERS: Final = {
    "CNN2DDeep": (57.6, 40.4),
    "CNN2DShallow": (54.0, 31.5),
    "CNN1DDeep": (53.8, 33.1),
    "CNN1DShallow": (54.4, 33.1),
    "RNN": (14.8, 11.1),
    "CRNN": (51.9, 27.1),
    "CRNNStacked": (51.9, 40.1),
}
"""Maximum validation accuracy and test accuracy on FMA small, percent.

Source: S. Yaacob and O. Goldrich, "Music Genre Classification Using Neural Networks", IDC, 2020.
"""

BELOW_BASELINE: Final = " below baseline"
"""Mark of a model whose test accuracy is significantly lower than that of a baseline."""

ACCURACY_INTERVAL: Final = "95 % interval of the accuracy"

FEATURE_TIME: Final = "feature time, s"
TRAINING_TIME: Final = "training time, s"
TIMES: Final = (
    "Feature time: computing features or embeddings of the training and validation tracks before training. It is 0 for "
    "a network, which computes them in training, and empty where an earlier run computed them. Training time: epochs "
    "with their validation, or fitting classifiers and selecting one of them on validation. Neither time includes the "
    "test, or decoding before training."
)
"""Definition of the two times, printed with each table that has them."""

COLUMNS: Final = {
    "model": "model",
    "backbone": "backbone",
    "seed": "seed",
    "repeat": "repeat",
    "fold": "fold",
    "parameters": "parameters",
    "feature_seconds": "feature_seconds",
    "seconds": "training_seconds",
    "epochs": "epochs",
    "best_val": "best_val_score",
    "epoch": "chosen_epoch",
    "chosen_by": "chosen_by",
    "train": "train_accuracy",
    "gap": "gap",
    "test": "test_accuracy",
    "f1_macro": "test_f1_macro",
    "average_precision": "test_average_precision",
    "roc_auc": "test_roc_auc",
    "calibration_error": "test_calibration_error",
    "memory_gb": "peak_memory_gb",
    "error": "error",
}
"""Columns of results.csv, by the attribute of `lit_genre.runs.run.Run`, which `lit_genre.runs.reader` fills in."""


def results(runs: list[Run]) -> pd.DataFrame:
    """Return a table with a row for each run.

    Args:
        runs: The runs.

    Returns:
        Table with the columns of `COLUMNS`. Times are in seconds, accuracies from 0 to 1, memory in GB.
    """
    rows = [{column: getattr(run, name) for name, column in COLUMNS.items()} for run in runs]
    table = pd.DataFrame(rows, columns=list(COLUMNS.values()))
    # Int64 has missing values, which int64 has not: a baseline has no seed.
    whole = ("seed", "repeat", "fold", "parameters", "epochs", "chosen_epoch")
    return table.astype(dict.fromkeys(whole, "Int64")).round(6)


def models(runs: list[Run]) -> list[str]:
    """Return the names of the models in the order of their primary score, the best first, those without one last."""
    scores = pd.DataFrame({"model": [run.model for run in runs], "score": [run.score for run in runs]})
    means = scores.astype({"score": float}).groupby("model", sort=False)["score"].mean()
    return list(means.sort_values(ascending=False, kind="stable", na_position="last").index)


def paper_table(runs: list[Run], pairs: list[Difference], with_papers: bool) -> list[list[str]]:
    """Build the table of Yaacob and Goldrich (2020): a column for each model, with means and deviations over seeds.

    Args:
        runs: The runs.
        pairs: The differences between the models.
        with_papers: Add the results of Yaacob and Goldrich (2020), which are for FMA small.

    Returns:
        Rows of cells; the first row has the names of the models.
    """
    names = models(runs)
    table = results(runs).groupby("model")
    backbones = {run.model: run.backbone for run in runs if run.backbone}

    intervals = interval_rows(runs, names)

    def row(heading: str, column: str, scale: float, digits: int) -> list[str]:
        return [
            heading,
            *(mean_and_deviation(table.get_group(name)[column].dropna() * scale, digits) for name in names),
        ]

    rows = [
        ["", *names],
        row(FEATURE_TIME, "feature_seconds", 1, 1),
        row(TRAINING_TIME, "training_seconds", 1, 1),
        row("max validation accuracy, %", "best_val_score", 100, 1),
        row("test accuracy, %", "test_accuracy", 100, 1),
        [ACCURACY_INTERVAL, *intervals["accuracy"]],
        *_over_baseline(runs, names, pairs),
        row("test F1, mean over genres, %", "test_f1_macro", 100, 1),
        ["95 % interval of the F1", *intervals["f1"]],
        row("calibration error", "test_calibration_error", 1, 3),
        row("epoch selected", "chosen_epoch", 1, 0),
        row("gap: train minus val accuracy, points", "gap", 100, 1),
        row("parameters, thousands", "parameters", 1e-3, 1),
        ["runs", *(str(int(table.get_group(name)["test_accuracy"].notna().sum())) for name in names)],
    ]
    if with_papers:
        for heading, position in (
            ("Yaacob and Goldrich (2020): max validation accuracy, %", 0),
            ("Yaacob and Goldrich (2020): test accuracy, %", 1),
        ):
            figures = (PAPERS.get(backbones.get(name, "")) for name in names)
            rows.append([heading, *(f"{pair[position]:.1f}" if pair else "" for pair in figures)])
    return rows


def _over_baseline(runs: list[Run], names: list[str], pairs: list[Difference]) -> list[list[str]]:
    """Return a row for each baseline: the accuracy of each model minus that of the baseline.

    It is marked if the model is significantly worse.
    """
    accuracy = results(runs).groupby("model")["test_accuracy"].mean()
    rows = []
    for baseline in dict.fromkeys(run.model for run in runs if run.is_baseline):
        worse = {pair.second for pair in pairs if pair.first == baseline and pair.significant}
        points = {name: 100 * (accuracy[name] - accuracy[baseline]) for name in names if name != baseline}
        cells = [
            f"{points[name]:+.1f}{BELOW_BASELINE if name in worse else ''}" if name in points else "" for name in names
        ]
        # A model without a test has the difference NaN.
        rows.append([f"over {baseline}, points", *(cell.replace("+nan", "") for cell in cells)])
    return rows


def mean_and_deviation(values: pd.Series, digits: int) -> str:
    """Return a mean over runs with its standard deviation, such as "92.5 ± 3.5"; "" without a value.

    Args:
        values: A value for each run.
        digits: Number of decimal places.
    """
    if values.empty:
        return ""
    mean = f"{values.mean():,.{digits}f}"
    # One run has no deviation, and equal values, such as the number of parameters, need none.
    return mean if values.nunique() == 1 or len(values) == 1 else f"{mean} ± {values.std():,.{digits}f}"


def genre_rows(runs: list[Run]) -> list[list[str]]:
    """Build the table of F1 of each genre, percent, mean over the runs of a model.

    Args:
        runs: Runs on the same data.

    Returns:
        Rows of cells: genres, with a column for each model; the first row has the headings.
    """
    from sklearn.metrics import f1_score

    tested = [run for run in runs if not run.predictions.empty]
    genres = sorted({genre for run in tested for genre in run.predictions["genre"]})
    names = [name for name in models(runs) if any(run.model == name for run in tested)]
    columns = []
    for name in names:
        of_model = [run.predictions for run in tested if run.model == name]
        scores = [
            f1_score(table["genre"], table["predicted"], labels=genres, average=None, zero_division=0)
            for table in of_model
        ]
        columns.append([f"{100 * value:.1f}" for value in sum(scores) / len(scores)])
    return [["genre", *names], *([genre, *cells] for genre, *cells in zip(genres, *columns, strict=True))]
