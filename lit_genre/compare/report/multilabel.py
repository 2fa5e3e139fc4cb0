"""Build the tables of a comparison of the multilabel task."""

from lit_genre.cluster_statistics import Interval
from lit_genre.compare.report.tables import TRAINING_TIME, mean_and_deviation, models, results
from lit_genre.compare.scores.average_precision import genre_precisions, precision_intervals
from lit_genre.runs.run import Run


def precision_table(runs: list[Run]) -> list[list[str]]:
    """Build the table of the models: a column for each, with means and deviations over seeds.

    Args:
        runs: Multilabel runs on the same data.

    Returns:
        Rows of cells; the first row has the names of the models.
    """
    names = models(runs)
    table = results(runs).groupby("model")
    intervals = precision_intervals(runs)

    def row(heading: str, column: str, scale: float, digits: int) -> list[str]:
        return [
            heading,
            *(mean_and_deviation(table.get_group(name)[column].dropna() * scale, digits) for name in names),
        ]

    return [
        ["", *names],
        row(TRAINING_TIME, "training_seconds", 1, 1),
        row("max validation average precision, %", "best_val_score", 100, 1),
        row("test average precision, mean over genres, %", "test_average_precision", 100, 1),
        ["95 % interval of the average precision", *(_percent(intervals.get(name)) for name in names)],
        row("area under the ROC curve, mean over genres, %", "test_roc_auc", 100, 1),
        row("epoch selected", "chosen_epoch", 1, 0),
        row("parameters, thousands", "parameters", 1e-3, 1),
        ["runs", *(str(int(table.get_group(name)["test_average_precision"].notna().sum())) for name in names)],
    ]


def genre_precision_rows(runs: list[Run]) -> list[list[str]]:
    """Build the table of the average precision of each genre, percent, mean over the runs of a model.

    Args:
        runs: Multilabel runs on the same data.

    Returns:
        Rows of cells: genres, with a column for each model; the first row has the headings.
    """
    table = 100 * genre_precisions(runs)
    cells = [["" if value != value else f"{value:.1f}" for value in row] for row in table.to_numpy().tolist()]
    rows = [[genre, *row] for genre, row in zip(map(str, table.index), cells, strict=True)]
    return [["genre", *map(str, table.columns)], *rows]


def _percent(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
