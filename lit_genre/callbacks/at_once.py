"""What a run without epochs leaves: the files of any other, so that it can stand beside them in a report."""

import json
from pathlib import Path
from typing import Any

import yaml

from lit_genre.callbacks.history import peak_memory, write_rows
from lit_genre.callbacks.track_report import report_test
from lit_genre.model.metrics import TrackScores, score
from lit_genre.run_folder import write_recipe


def write_run(
    folder: Path,
    classes: list[str],
    scores: dict[str, TrackScores],
    seconds: float,
    config: dict[str, Any],
    summary: dict[str, Any],
) -> None:
    """Write config.yaml, metrics.csv of one row, what a test leaves, and summary.json, which says that all is there.

    Args:
        folder: Where it goes.
        classes: Class names.
        scores: Of each split that there is, "test" among them.
        seconds: That training took.
        config: All that determined the run.
        summary: What reports are to know of it.
    """
    write_recipe(folder, yaml.safe_dump(config, sort_keys=False))
    rated = {f"{split}/accuracy": float(score(its, classes)["accuracy"]) for split, its in scores.items()}
    del rated["test/accuracy"]
    write_rows(
        [{"epoch": 0, "seconds": round(seconds, 3), "memory_gb": round(peak_memory() / 1e9, 3), **rated}], folder
    )
    report_test(scores["test"], classes, folder)
    (folder / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")
