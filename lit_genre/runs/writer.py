"""What a run without epochs leaves: the files of any other, so that it can stand beside them in a report."""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import yaml

from lit_genre.model.metrics import TrackScores, score
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.report import report_test

Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """Call a function; return its result and the time that it took, seconds."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def peak_memory() -> int:
    """Return the peak of the memory in use, bytes: of the accelerator, or of this process without one."""
    if torch.accelerator.is_available():
        return torch.accelerator.max_memory_allocated()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def write_run(
    folder: RunFolder,
    classes: list[str],
    scores: dict[str, TrackScores],
    seconds: float,
    feature_seconds: float | None,
    config: dict[str, Any],
    summary: dict[str, Any],
) -> None:
    """Write the configuration, metrics of one row, the results of the test, and last the summary: the run is finished.

    Args:
        folder: Folder of the run.
        classes: Class names.
        scores: Of each split that there is, "test" among them.
        seconds: Training time: fitting the classifiers and choosing one of them on validation.
        feature_seconds: Time of computing the features or embeddings of the training and validation tracks; None where
            they were computed by an earlier run.
        config: All that determined the run.
        summary: What reports are to know of it.
    """
    folder.write_config(yaml.safe_dump(config, sort_keys=False))
    rated = {f"{split}/accuracy": float(score(its, classes)["accuracy"]) for split, its in scores.items()}
    del rated["test/accuracy"]
    folder.write_metrics(
        [{"epoch": 0, "seconds": round(seconds, 3), "memory_gb": round(peak_memory() / 1e9, 3), **rated}]
    )
    report_test(scores["test"], classes, folder)
    folder.write_summary(summary | {"feature_seconds": None if feature_seconds is None else round(feature_seconds, 3)})
