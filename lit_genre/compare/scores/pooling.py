"""Pool the folds of a cross-validation: together they test each track once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from lit_genre.model.metrics import calibration_error_of
from lit_genre.runs.predictions import rate_labels
from lit_genre.runs.run import Run


def pool_folds(runs: list[Run]) -> list[Run]:
    """Replace the runs of the folds of a model, a seed and a repeat by one run.

    Its test has the predictions of all folds, and its times are their sums. If a fold has no test yet, the pooled run
    has none, and its error says so.

    Args:
        runs: Runs of folds, and others, which are kept.

    Returns:
        The runs, in the order of the first fold of each.
    """
    by_key: dict[object, list[Run]] = {}
    for run in runs:
        # A run that is no fold has a key of its own.
        key = id(run) if run.fold is None else (run.folder.parent, run.model, run.seed, run.repeat)
        by_key.setdefault(key, []).append(run)
    return [folds[0] if folds[0].fold is None else _pool(folds) for folds in by_key.values()]


def _pool(folds: list[Run]) -> Run:
    from sklearn.metrics import f1_score

    first, n_folds = folds[0], max(run.n_folds for run in folds)
    tested = [run for run in folds if not run.predictions.empty]
    pooled = replace(
        first,
        seconds=_sum([run.seconds for run in folds]),
        feature_seconds=_sum([run.feature_seconds for run in folds]),
        best_val=_mean([run.best_val for run in folds]),
        train=_mean([run.train for run in folds]),
        val=_mean([run.val for run in folds]),
        memory_gb=max((run.memory_gb for run in folds if run.memory_gb is not None), default=None),
        epoch=None,
        error=next((run.error for run in folds if run.error), ""),
        members=folds,
        test=None,
        calibration_error=None,
        f1_macro=None,
        average_precision=None,
        roc_auc=None,
        predictions=pd.DataFrame(),
    )
    if len(tested) < n_folds:
        pooled.error = pooled.error or f"{len(tested)} of {n_folds} folds are tested"
        return pooled
    pooled.predictions = pd.concat([run.predictions for run in tested])
    if pooled.task == "multilabel":
        pooled.probs = np.concatenate([run.probs for run in tested])
        pooled.labels = np.concatenate([run.labels for run in tested])
        rate_labels(pooled)
        return pooled
    genre, predicted = pooled.predictions["genre"], pooled.predictions["predicted"]
    # Over all tracks: the error of a single fold is larger, because it has fewer tracks.
    confidence = torch.tensor(pooled.predictions["confidence"].to_numpy())
    pooled.calibration_error = calibration_error_of(confidence, torch.tensor((genre == predicted).to_numpy()))
    pooled.test = float((genre == predicted).mean())
    pooled.f1_macro = float(f1_score(genre, predicted, labels=sorted(set(genre)), average="macro", zero_division=0))
    return pooled


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
