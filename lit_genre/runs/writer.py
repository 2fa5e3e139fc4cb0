"""Write the folder of a run without epochs (a baseline or a probe), with the same files as any other run."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
import yaml

from lit_genre.model.metrics import PRIMARY_METRIC, TrackScores, score
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.report import report_test

Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """Call a function and measure its time.

    Args:
        function: The function.

    Returns:
        Result of the function, and the time that it took, s.
    """
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def peak_memory() -> dict[str, float]:
    """Return the largest memory use so far: of the accelerator, or of this process if there is none.

    Returns:
        `memory_gb`, GB; empty where it is not measured: on Windows without CUDA, and on Apple's GPUs.
    """
    # On other accelerators than CUDA, torch may have no such statistics.
    if torch.cuda.is_available():
        return {"memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3)}
    try:
        import resource
    except ImportError:  # Windows
        return {}
    # The condition on the system is for mypy.
    if sys.platform == "win32" or torch.accelerator.is_available():
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB on Linux.
    return {"memory_gb": round((peak if sys.platform == "darwin" else 1024 * peak) / 1e9, 3)}


def write_run(
    folder: RunFolder,
    classes: list[str],
    scores: dict[str, TrackScores],
    seconds: float,
    feature_seconds: float | None,
    config: dict[str, Any],
    summary: dict[str, Any],
    artists: Mapping[int, int],
) -> None:
    """Write configuration, metrics, results of the test and summary of a run.

    Args:
        folder: Folder of the run.
        classes: Class names in the order of the labels.
        scores: Scores of the tracks of each split, by its name, on the CPU; "test" is required.
        seconds: Training time, s: fitting the classifiers and selecting one of them on the validation split.
        feature_seconds: Time of computing the features or embeddings of the training and validation tracks, s; None if
            an earlier run computed them.
        config: All settings of the run.
        summary: Results that reports read from summary.json.
        artists: Id of the artist by track id.

    Raises:
        OSError: A file cannot be written.
    """
    folder.write_config(yaml.safe_dump(config, sort_keys=False))
    metric = PRIMARY_METRIC["multilabel" if scores["test"].several else "multiclass"]
    split_scores = {split: score(tracks, classes) for split, tracks in scores.items() if split != "test"}
    # Without a genre that some tracks have and others lack, a split has no average precision.
    rated = {f"{split}/{metric}": float(its[metric]) for split, its in split_scores.items() if metric in its}
    # One row, as of a run with one epoch, so that reports need not distinguish them.
    folder.write_metrics([{"epoch": 0, "seconds": round(seconds, 3), **peak_memory(), **rated}])
    report_test(scores["test"], classes, folder, artists)
    # Last: the run is finished if the summary exists.
    folder.write_summary(summary | {"feature_seconds": None if feature_seconds is None else round(feature_seconds, 3)})
